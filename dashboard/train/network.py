"""The network as its row of blocks: click one to freeze or thaw it, open one to choose among its layers."""

from collections.abc import Callable

import streamlit as st

from core.backbones import catalogue
from core.backbones.catalogue import Backbone, Block
from core.presets import PRESETS
from dashboard.components.network import BlockView, network
from dashboard.draft import Draft, current
from dashboard.text import plain, short

TOGGLES_PER_ROW = 4


def show_network(classes: int) -> None:
    """Presets, the row of blocks, the counts, and a toggle for every block and layer."""
    draft = current()
    backbone = draft.chosen_backbone()
    presets, switch = st.columns([4, 1], vertical_alignment="center")
    with presets:
        _presets(draft)
    opened = switch.toggle("Layers", key="show layers", help="Switches for blocks, and for every layer in a block.")
    network([_view(block, draft, classes) for block in backbone.blocks], key="network", on_toggle=_toggle_block)
    if opened:
        with st.container(border=True):
            _toggles(draft, backbone)


def show_counts(classes: int) -> None:
    """How many parameters will be trained, and how many stay as they are."""
    draft = current()
    trainable, frozen = catalogue.parameter_counts(draft.chosen_backbone(), draft.layers, classes)
    st.markdown(f":orange-badge[☀ {trainable:,} trainable] :blue-badge[❄ {frozen:,} frozen]")


def _presets(draft: Draft) -> None:
    st.session_state["preset"] = draft.preset()
    st.segmented_control(
        "Preset",
        list(PRESETS),
        format_func=lambda name: PRESETS[name].label,
        key="preset",
        on_change=_take_preset,
        label_visibility="collapsed",
        width="stretch",
    )


def _take_preset() -> None:
    """Set all that belongs to the preset; the rest of the draft stays."""
    draft = current()
    if name := st.session_state["preset"]:
        draft.take(PRESETS[name].settings(draft.chosen_backbone()))


def _view(block: Block, draft: Draft, classes: int) -> BlockView:
    paths = _paths(block)
    head = draft.chosen_backbone().head
    parameters = head.parameters(classes) if head.path in paths else block.parameters
    in_words = short(parameters) if parameters else "–"  # A head for no classes, as long as there are no pictures.
    return BlockView(block.name, in_words, len(paths & draft.layers) / len(paths), parameters)


def _paths(block: Block) -> frozenset[str]:
    return frozenset(layer.path for layer in block.layers)


def _toggle_block(name: str) -> None:
    """Freeze the block if all of it is trainable, thaw all of it otherwise."""
    draft = current()
    block = next(block for block in draft.chosen_backbone().blocks if block.name == name)
    paths = _paths(block)
    draft.layers = draft.layers - paths if paths <= draft.layers else draft.layers | paths


def _toggle_layer(path: str) -> None:
    draft = current()
    draft.layers = draft.layers ^ {path}


def _toggles(draft: Draft, backbone: Backbone) -> None:
    """What the row of blocks does, for the keyboard; and the layers of one block at a time."""
    st.caption("A switch that is on means trainable. Open a block to choose among its layers.")
    _grid([(block.name, block.name, _paths(block) <= draft.layers) for block in backbone.blocks], _toggle_block)
    names = [block.name for block in backbone.blocks]
    opened = st.selectbox("Open a block", names, index=None, key="opened", placeholder="Choose a block")
    for block in backbone.blocks:
        if block.name == opened:
            _grid(
                [
                    (layer.path, _label(layer.path, layer.parameters), layer.path in draft.layers)
                    for layer in block.layers
                ],
                _toggle_layer,
            )


def _label(path: str, parameters: int) -> str:
    return f"{path} · {short(parameters)}"


def _grid(toggles: list[tuple[str, str, bool]], on_change: Callable[[str], None]) -> None:
    """Rows of toggles (name, label, whether it is on)."""
    columns = st.columns(TOGGLES_PER_ROW)
    for position, (name, label, is_on) in enumerate(toggles):
        key = f"toggle.{name}"
        st.session_state[key] = is_on
        columns[position % TOGGLES_PER_ROW].toggle(plain(label), key=key, on_change=on_change, args=(name,))
