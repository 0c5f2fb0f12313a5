"""The settings of the next run, and what it will cost."""

from collections import Counter
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.backbones import catalogue, pretrained
from core.backbones.catalogue import Backbone
from core.data.split import Split
from core.errors import BadRecipe
from core.jobs.run_kinds import RATES
from core.messages import Message, percent
from core.optimizers import OPTIMIZER, SCHEDULE
from core.presets import PRESETS
from core.recipe import Recipe
from core.recipe_fields import Setting, TableOf
from core.recipe_settings import SETTINGS, TABLES, flattened, rate_question
from core.settings import settings
from core.training.plan import kept_numbers
from dashboard.draft import current
from dashboard.job_progress import result_of
from dashboard.services import saying_trouble
from dashboard.setting_widget import setting_widget
from dashboard.text import byte_size, fault_in_words, plain, short

RATE_HELP = "Takes some steps at growing rates and says where the loss fell fastest. Nothing of it is kept."
STATES = {
    "bundled": "comes with Thaw",
    "cached": "on this computer",
    "download": "to be downloaded",
    "none": "no pretrained weights",
}


def backbone_controls() -> None:
    """The widgets: one of all backbones, searched by typing, and what it starts from."""
    draft = current()
    st.session_state["backbone"] = draft["backbone"]
    st.selectbox(
        SETTINGS["backbone"].title,
        list(dict.fromkeys((*catalogue.BUNDLED, *catalogue.names()))),
        format_func=_title,
        key="backbone",
        on_change=_take_backbone,
        help=SETTINGS["backbone"].help,
    )
    _figures(draft.chosen_backbone())
    setting_widget(SETTINGS["weights"])


def _figures(backbone: Backbone) -> None:
    weights = backbone.weights
    is_pretrained = current()["weights"] == "pretrained"
    state = STATES[pretrained.weights_state(backbone)] if is_pretrained else "pretrained weights are not used"
    if weights and state == STATES["download"]:
        state += f" ({byte_size(weights.size)})"
    accuracy = f" · {weights.accuracy:.1f} % on ImageNet" if weights and is_pretrained else ""
    if accuracy and state == STATES["bundled"]:
        accuracy += " with torchvision's weights"
    st.caption(f"{short(backbone.parameters)} parameters · {backbone.preprocessing.crop} px{accuracy} · {state}")


def _title(name: str) -> str:
    backbone = catalogue.get(name)
    note = {"bundled": " · bundled", "cached": " · on this computer"}.get(pretrained.weights_state(backbone), "")
    return f"{backbone.title}{note}"


def _take_backbone() -> None:
    """Another network has other blocks: start again with the head alone."""
    draft = current()
    draft["backbone"] = st.session_state["backbone"]
    draft.layers = catalogue.select(draft.chosen_backbone(), ["head"])
    draft["image_size"] = None


def optimizer_controls() -> DeltaGenerator:
    """The optimizer, its settings, and the penalties; returns the place below the learning rate."""
    with st.container():
        setting_widget(OPTIMIZER.name)
        rate, *others = _settings_of(OPTIMIZER)
        setting_widget(rate)
        below = st.container()
        _widgets(others, OPTIMIZER)
    _side_by_side("penalties.l1", "penalties.l2")
    return below


def search_rate(recipe: Recipe | None) -> None:
    """A button that searches a learning rate; then how far that is, and what it found, while it fits the settings."""
    try:
        question = rate_question(recipe) if recipe else None
        explained = RATE_HELP if recipe else "Once what is wrong with the settings is mended."
    except BadRecipe as error:
        question, explained = None, fault_in_words(error.faults[0])
    if question is None or question != st.session_state.get("searched rate"):
        button: dict[str, Any] = {"key": "find rate", "icon": ":material/search:", "width": "stretch"}
        off = question is None
        st.button("Find a rate", help=explained, disabled=off, on_click=_ask_for_rate, args=(question,), **button)
        return
    with saying_trouble():
        if found := result_of(RATES, question, True, "Find a rate"):
            _show_rate(Message.parse(found["sentence"]), found["suggested"])


def _ask_for_rate(question: Recipe) -> None:
    st.session_state["searched rate"] = question


def _show_rate(sentence: Message, rate: float | None) -> None:
    st.caption(plain(str(sentence)))
    if rate is not None and rate != current()["optimizer.lr"]:
        st.button(f"Use {rate:g}", key="use rate", on_click=_use_rate, args=(rate,), width="stretch")


def _use_rate(rate: float) -> None:
    current()["optimizer.lr"] = rate


def schedule_controls() -> None:
    """How long it goes on, how the rate changes, how pictures are varied, and what computes.

    Widgets that come and go are in containers: the place of an open part below them would change, and close it.
    """
    _side_by_side("epochs", "batch_size")
    with st.container():
        _row_of(SCHEDULE)
    left, right = st.columns(2)
    with left:
        setting_widget(SETTINGS["seed"])
    with right:
        setting_widget(SETTINGS["image_size"], placeholder=f"{current().chosen_backbone().preprocessing.crop}")
    setting_widget(SETTINGS["augment"])
    with st.container():
        if current()["augment"] != "none":
            setting_widget(SETTINGS["views"])
    with st.expander("Machine"):
        setting_widget(SETTINGS["device"])
        setting_widget(SETTINGS["precision"])


def _row_of(table: TableOf) -> None:
    """The rows of a table by name, and the settings of the chosen one."""
    setting_widget(table.name)
    _widgets(_settings_of(table), table)


def _settings_of(table: TableOf) -> list[Setting]:
    return list(table.settings(current()[table.name.path]).values())


def _widgets(settings: list[Setting], table: TableOf) -> None:
    """Settings of the chosen row; advanced ones in a closed part."""
    for setting in settings:
        if not setting.about.advanced:
            setting_widget(setting)
    if advanced := [setting for setting in settings if setting.about.advanced]:
        with st.expander(f"More of {table.rows[current()[table.name.path]].label}"):
            for setting in advanced:
                setting_widget(setting)


PLACED = (
    *("val_fraction", "weights", "epochs", "batch_size", "seed", "image_size", "augment", "views"),
    *("device", "precision", "penalties.l1", "penalties.l2"),
)
"""Settings whose widgets have a place of their own on the page."""
HEADINGS = {
    "test_fraction": "Pictures",
    "keep": "How it learns",
    "split_seed": "Seeds",
    "repeats": "Several runs",
    "rates.head": "Rates",
}
"""What is written above a setting among all others, and stands for those after it."""


def _usual() -> dict[str, Any]:
    """The settings of the preset that the draft follows, by their paths; none where it follows none."""
    name = current().preset()
    return flattened(PRESETS[name].settings(current().chosen_backbone())) if name else {}


def more_settings() -> None:
    """All other settings, in a closed part; below it, what was changed there."""
    others = [one for one in SETTINGS.values() if one.kind != "text" and not _has_place(one.path)]
    with st.expander("More settings"):
        for setting in others:
            if setting.path in HEADINGS:
                st.markdown(f"**{HEADINGS[setting.path]}**")
            setting_widget(setting)
    usual = _usual()
    changed = [one.title for one in others if current()[one.path] != usual.get(one.path, one.default)]
    if changed:
        st.caption(f"Changed in more settings: {', '.join(changed)}")


def _has_place(path: str) -> bool:
    if path == "fold" and current()["folds"] == 1 and current()["fold"] is None:
        return True  # It would mean nothing, and so has no widget.
    return path in PLACED or path.split(".")[0] in TABLES


UNEVEN = 1.5
"""Times as many training pictures in the largest class as in the smallest one, from which weights are proposed."""


def propose_class_weights(drawn: Split) -> None:
    """A sentence about classes that differ in size, and a button; nothing where they do not, or are weighted."""
    counts = Counter(example.label for example in drawn.train)
    most, least = max(counts.values()), min(counts.values())
    if most <= UNEVEN * least or current()["class_weights"] != "none":
        return
    more = f"{most / least:.1f} times as many training pictures as the smallest"
    st.caption(f"The largest class has {more}, and so counts for more.")
    st.button("Count classes equally", icon=":material/balance:", key="balance", on_click=_balance, width="stretch")


def _balance() -> None:
    current()["class_weights"] = "balanced"


def _side_by_side(*paths: str) -> None:
    for path, column in zip(paths, st.columns(len(paths)), strict=True):
        with column:
            setting_widget(SETTINGS[path])


FEATURE_BYTES = 4
"""Features are kept in 32 bits (`core.training.features`)."""


def cost_hint(recipe: Recipe, drawn: Split) -> str:
    """One or two sentences about training `recipe` on the pictures of `drawn`, validation's and the test's included."""
    backbone = catalogue.get(recipe.backbone)
    layers = catalogue.select(backbone, recipe.trainable)
    first = next(i for i, block in enumerate(backbone.blocks) if any(layer.path in layers for layer in block.layers))
    if recipe.augment != "none" and recipe.views == 0:
        return "Every epoch runs the whole network over new variations of every picture: the slowest way to train."
    if first == 0:
        return "Every epoch runs the whole network over every picture, because training begins at its first block."
    numbers = kept_numbers(recipe, drawn).values()
    looks = sum(map(len, numbers))
    what = f"{looks:,} pictures" if looks == len(numbers) else f"{looks:,} looks at {len(numbers):,} pictures"
    kept = backbone.blocks[first].inflow * looks * FEATURE_BYTES
    is_own_size = recipe.image_size in (None, backbone.preprocessing.crop)
    if is_own_size and kept > settings().feature_bytes:
        return (
            f"Every epoch runs the whole network: what its frozen part makes of {what} would take "
            f"{byte_size(kept)}, and {byte_size(settings().feature_bytes)} are allowed."
        )
    frozen = sum(block.flops for block in backbone.blocks[:first]) / sum(block.flops for block in backbone.blocks)
    size = f", about {byte_size(kept)}," if is_own_size else ""
    return (
        f"The frozen blocks before {backbone.blocks[first].name} do {_share(frozen)} of the network's arithmetic. They "
        f"run once over {what}; their features{size} are kept, and each epoch runs the rest."
    )


def _share(part: float) -> str:
    return "more than 99.9 %" if part > 0.9994 else percent(part)
