"""Small pieces that several views use: text that stays text, and numbers as people read them."""

import re
from pathlib import Path
from typing import Literal

import streamlit as st

from core.backbones import catalogue
from core.errors import Fault
from core.recipe import AUGMENTATIONS, Recipe
from core.recipe_settings import title
from dashboard.picture_sets import name_of

JOINER = "\N{WORD JOINER}"
"""A character without width."""
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def plain(text: str) -> str:
    """`text` for a Streamlit command that would read it as Markdown: every character stands for itself.

    A backslash keeps punctuation literal (CommonMark 2.4). But Streamlit makes icons of ":material/home:", arrows of
    "->" and links of addresses only after backslashes are gone, so a character without width follows as well. Line
    breaks become spaces.
    """
    return _PUNCTUATION.sub(rf"\\\1{JOINER}", " ".join(text.split()))


_SIGNS = {"error": ":red[:material/error:]", "notice": ":blue[:material/info:]"}


def say(kind: Literal["error", "notice"], text: str) -> None:
    """A framed sentence that may hold names and paths: shown, and copied, exactly as it is."""
    with st.container(border=True, horizontal=True, gap="small"):
        st.markdown(_SIGNS[kind], width="content")
        st.text(text, width="stretch")


def run_number(text: str) -> int | None:
    """The run that a word of the address names; None for anything that no run's number can be."""
    return int(text) if text.isdecimal() and len(text) < 10 else None


def short(count: int) -> str:
    """A count in three digits: 6,405 → "6.4 k", 2223872 → "2.2 M"."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        value = count / size
        if value >= 0.9995:
            return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.1f} {unit}"
    return str(count)


def byte_size(count: int) -> str:
    """Bytes in three digits at the most: 798720 → "799 kB", 2048000 → "2.0 MB"."""
    return f"{short(count)}B" if count >= 1000 else f"{count} B"


def duration(seconds: float) -> str:
    """Seconds as a person says them: "8 s", "3 min 20 s", "1 h 5 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def backbone_of(recipe: Recipe) -> str:
    """The backbone's title, and what it starts from, if that is not usual: "ResNet-18 from scratch"."""
    own = Path(recipe.weights).name.replace(":", " ")
    start = {"pretrained": "", "random": " from scratch"}.get(recipe.weights, f" from {own}")
    return catalogue.get(recipe.backbone).title + start


def trainable_of(recipe: Recipe) -> str:
    """What is trained, in the recipe's own words: "stage7, conv, head"."""
    return recipe.trainable if isinstance(recipe.trainable, str) else ", ".join(recipe.trainable)


def optimizer_of(recipe: Recipe) -> str:
    """The optimizer with its learning rate: "Adam 0.001"."""
    return f"{recipe.optimizer.label} {recipe.optimizer.lr:g}"


def penalties_of(recipe: Recipe) -> str:
    """The penalties that are on: "L1 0.0001, L2 0.001"; empty when none is."""
    return ", ".join(f"{name.upper()} {factor:g}" for name, factor in recipe.penalties if factor)


def describe_recipe(recipe: Recipe) -> str:
    """A recipe in a line: "MobileNetV2 · head · Adam 0.001 · L2 0.0001 · 10 epochs · stamps"."""
    penalties = [penalties_of(recipe)] if penalties_of(recipe) else []
    varied = [f"variation {AUGMENTATIONS[recipe.augment].label.lower()}"] if recipe.augment != "none" else []
    epochs = f"{recipe.epochs:,} epoch{'s' if recipe.epochs > 1 else ''}"
    what = [backbone_of(recipe), trainable_of(recipe), optimizer_of(recipe), *penalties, epochs, *varied]
    return " · ".join([*what, *family_of(recipe), name_of(recipe.data)])


def family_of(recipe: Recipe) -> list[str]:
    """What makes a recipe a family, or one run of it: "5 repeats", "10 folds", "fold 3 of 10", "weights by seed 1"."""
    folds = f"{recipe.folds} folds" if recipe.fold is None else f"fold {recipe.fold} of {recipe.folds}"
    repeats = [f"{recipe.repeats} repeats"] if recipe.repeats > 1 else []
    seed = [f"weights by seed {recipe.init_seed}"] if recipe.init_seed is not None else []
    return [*repeats, *([folds] if recipe.folds > 1 else []), *seed]


def fault_in_words(fault: Fault) -> str:
    """A wrong setting as one sentence for the person who set it, by the name that it has on the page."""
    if fault.field == "trainable" and not fault.value:
        return "Every block is frozen, so there is nothing to train. Click a block to thaw it."
    if fault.field == "data":
        return str(fault.advice) if fault.value else "Choose pictures: a sample, or the path of a folder."
    value = f"{fault.value:g}" if isinstance(fault.value, float) else str(fault.value)
    return f"{title(fault.field)} {value}: {fault.advice}."
