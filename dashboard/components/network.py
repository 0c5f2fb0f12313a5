"""The network drawn as its row of blocks, each a button: ice blue when frozen, warm orange when trainable."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from dashboard import palette
from dashboard.components.stamp import stamped

_HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "thaw.network",
    html='<ol class="network" aria-label="Blocks of the network, from the pictures to the classes"></ol>',
    css=(_HERE / "network.css").read_text(encoding="utf-8"),
    js=(_HERE / "network.js").read_text(encoding="utf-8"),
)
_COLOURS = {
    "frozen": palette.FROZEN,
    "frozenEdge": palette.FROZEN_EDGE,
    "trainable": palette.TRAINABLE,
    "trainableEdge": palette.TRAINABLE_EDGE,
    "text": palette.ON_BLOCK,
}


@dataclass(frozen=True)
class BlockView:
    """A block as it is drawn: its name, its parameter count in words, and the trainable share of its layers, 0…1.

    `count`, the same count as a number, draws a bar as long as its logarithm.
    """

    name: str
    parameters: str
    trainable: float
    count: int


def network(blocks: Sequence[BlockView], *, key: str, on_toggle: Callable[[str], None], disabled: bool = False) -> None:
    """Draw the blocks in order; a click, Enter or Space on one calls `on_toggle` with its name before the next run.

    The block changes colour at once. If `on_toggle` decides otherwise, it goes back with the next run.
    Names become text, never HTML. With `disabled`, blocks are shown and can be reached, but not toggled.
    """
    answered = f"{key}.answered"
    st.session_state.setdefault(answered, 0)

    def toggled() -> None:
        # Streamlit keeps only the newest trigger while a script is busy: each click brings along those before it that
        # were not answered yet, and the numbers tell which of them are new.
        for number, name in st.session_state[key].get("toggled") or ():
            if number > st.session_state[answered]:
                st.session_state[answered] = number
                if name in {block.name for block in blocks}:
                    on_toggle(name)

    data = {
        "blocks": [dataclasses.asdict(block) for block in blocks],
        "colours": _COLOURS,
        "disabled": disabled,
        # One more use: Streamlit redraws only if data differ, and after a refused toggle nothing else does.
        "answered": st.session_state[answered],
    }
    _mount(data=stamped(data, key), key=key, on_toggled_change=toggled)
