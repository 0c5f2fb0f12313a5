"""Which runs to list: words, states, stars."""

from dataclasses import dataclass

import streamlit as st

from core.runs.run import Run
from dashboard.parts import backbone_of, describe
from dashboard.tables import STATUS


@dataclass(frozen=True)
class Wanted:
    """`words` must all occur somewhere in a run's description; empty sets and False let everything pass."""

    words: tuple[str, ...] = ()
    states: frozenset[str] = frozenset()
    backbones: frozenset[str] = frozenset()
    starred: bool = False


def choose(runs: list[Run]) -> Wanted:
    """The row of widgets above the table."""
    search, state, backbone, star = st.columns([3, 3, 3, 1], vertical_alignment="bottom")
    words = search.text_input(
        "Search", placeholder="name, note, tag, pictures, block …", key="runs.search", icon=":material/search:"
    )
    states = state.multiselect("Status", list(STATUS), format_func=STATUS.__getitem__, key="runs.status")
    backbones = backbone.multiselect("Backbone", sorted({backbone_of(run.recipe) for run in runs}), key="runs.backbone")
    starred = star.toggle("Starred", key="runs.starred")
    return Wanted(tuple(words.lower().split()), frozenset(states), frozenset(backbones), starred)


def passes(run: Run, wanted: Wanted) -> bool:
    """Whether a run is to be listed."""
    text = " ".join([describe(run.recipe), run.status, run.name, run.note, *run.tags, f"#{run.id}"]).lower()
    return (
        all(word in text for word in wanted.words)
        and (not wanted.states or run.status in wanted.states)
        and (not wanted.backbones or backbone_of(run.recipe) in wanted.backbones)
        and (run.starred or not wanted.starred)
    )
