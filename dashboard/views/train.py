"""The main page: pictures, network, optimizer, Train, and the run as it goes."""

import time
from typing import Any

import streamlit as st

from core.check import check
from core.errors import BadRecipe, Fault, UnknownRun
from core.recipe import Recipe
from core.runs.launch import ensure_worker
from dashboard import draft
from dashboard.cost import cost
from dashboard.panels import backbone, course, live, network, optimizer, pictures
from dashboard.parts import say
from dashboard.services import store

DOUBLE_CLICK = 1.5
"""Seconds within which a second press with the same settings counts as the first one's double click."""


def main() -> None:
    """Sidebar: the recipe. Main column: what goes in, the network, and what comes out."""
    is_new = draft.is_new()
    shown = opened_run()
    with st.sidebar:
        pictures.choose()
        backbone.choose()
        optimizer.choose()
        course.choose()
    folder = pictures.show()
    classes = len(folder.classes) if folder else 0
    network.show(classes)
    recipe, faults = checked(draft.current().settings())
    button, counts = st.columns([1, 3], vertical_alignment="center")
    pressed = button.button(
        "Train", type="primary", icon=":material/play_arrow:", disabled=recipe is None, key="train", width="stretch"
    )
    with counts:
        network.show_counts(classes)
    if recipe and folder:
        st.caption(cost(recipe, pictures=sum(folder.counts())))
    for fault in faults:
        say("error", str(fault))
    if pressed and recipe and not is_double_click(recipe):
        shown = store().queue(recipe)
        ensure_worker()
        st.query_params["run"] = str(shown)
    if shown is None:
        st.info("Press **Train**: the curves of loss and accuracy grow here.", icon=":material/show_chart:")
    else:
        live.show(shown)
    if is_new:
        ensure_worker()  # It loads torch while the person looks around.


def opened_run() -> int | None:
    """The run that the address names; a session that begins with one takes over its recipe."""
    number = st.query_params.get("run", "")
    if not number.isdecimal():
        return None
    if draft.is_new():
        try:
            draft.take_over(store().run(int(number)).recipe)
        except UnknownRun:
            return int(number)
    return int(number)


@st.cache_data(ttl=5, show_spinner=False)
def checked(settings: dict[str, Any]) -> tuple[Recipe | None, tuple[Fault, ...]]:
    """The recipe, or its faults, as of the last few seconds."""
    try:
        return check(settings), ()
    except BadRecipe as error:
        return None, error.faults


def is_double_click(recipe: Recipe) -> bool:
    """Whether this press repeats one that was just acted on."""
    last = st.session_state.get("last_press")
    now = time.monotonic()
    if last and last[0] == recipe and now - last[1] < DOUBLE_CLICK:
        return True
    st.session_state["last_press"] = (recipe, now)
    return False


main()
