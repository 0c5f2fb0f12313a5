"""The network drawn as its row of blocks, each a button: ice blue when frozen, warm orange when trainable."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from dashboard import palette

_HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "thaw.network",
    html='<ol class="network" aria-label="Blocks of the network, from the picture to the classes"></ol>',
    css=(_HERE / "network.css").read_text(encoding="utf-8"),
    js=(_HERE / "network.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class BlockView:
    """A block as it is drawn: its name, its parameter count in words, and the trainable share of its layers, 0…1."""

    name: str
    parameters: str
    trainable: float


def network(blocks: Sequence[BlockView], *, key: str, on_toggle: Callable[[str], None]) -> None:
    """Draw the blocks in order; a click, Enter or Space on one calls `on_toggle` with its name before the next run.

    Names become text, never HTML.
    """
    colours = {
        "frozen": palette.FROZEN,
        "frozenEdge": palette.FROZEN_EDGE,
        "trainable": palette.TRAINABLE,
        "trainableEdge": palette.TRAINABLE_EDGE,
        "text": palette.ON_BLOCK,
    }

    def toggled() -> None:
        name = st.session_state[key].get("toggled")
        if name in {block.name for block in blocks}:
            on_toggle(name)

    data = {"blocks": [dataclasses.asdict(block) for block in blocks], "colours": colours}
    _mount(data=data, key=key, on_toggled_change=toggled)
