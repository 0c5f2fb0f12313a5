"""The main page: pictures, network, optimizer, Train, and the run as it goes."""

import time
from contextlib import suppress
from typing import Any

import streamlit as st

from core.errors import UnknownRun
from core.jobs.job import provenance
from core.jobs.process import ensure_training
from core.jobs.worker import ensure_progress
from core.presets import nearest
from core.recipe import Recipe
from dashboard import draft, picture_choice
from dashboard.services import Checked, checked, store
from dashboard.text import fault_in_words, run_number, say
from dashboard.train import network, recipe_form, run_view
from dashboard.train.recipe_form import cost_hint

DOUBLE_CLICK = 1.5
"""Seconds within which a second press with the same settings counts as the first one's double click."""


def main() -> None:
    """Sidebar: the recipe. Main column: what goes in, the network, and what comes out."""
    is_new = draft.is_new()
    shown = opened_run()
    with st.sidebar:
        drawn = picture_choice.choose_pictures()
        recipe_form.backbone_controls()
        below_rate = recipe_form.optimizer_controls()
        recipe_form.schedule_controls()
        with st.container():
            if drawn:
                recipe_form.propose_class_weights(drawn)
        recipe_form.more_settings()
    folder = picture_choice.show_pictures()
    classes = len(folder.classes) if folder else 0
    network.show_network(classes)
    recipe, faults, said = lately_checked(draft.current().settings())
    with below_rate:
        recipe_form.search_rate(recipe)
    button, counts = st.columns([1, 3], vertical_alignment="center")
    pressed = button.button(
        "Train", type="primary", icon=":material/play_arrow:", disabled=recipe is None, key="train", width="stretch"
    )
    with counts:
        if folder:
            network.show_counts(classes)
        if recipe and drawn:
            st.caption(cost_hint(recipe, drawn))
    if said:
        say("notice", str(said))
    for fault in faults:
        say("error", fault_in_words(fault))
    if pressed and recipe and not is_double_click(recipe):
        shown = store().runs.queue(recipe, provenance(recipe, nearest(recipe)))
        ensure_progress(store())
        remember(shown)
    if shown is None:
        sentence = "Mend what is said above, and train." if faults else "Press Train: the curve grows here."
        run_view.show_place(sentence, recipe.epochs if recipe else 1)
    else:
        run_view.show_run(shown)
    if is_new:
        ensure_training()  # A worker loads torch while the person looks around.


def opened_run() -> int | None:
    """The run that the address names, or else the last one that this session has shown.

    A run that this session has not shown before brings its settings along: the network above the curves is its own.
    """
    last: int | None = st.session_state.get("shown run")
    named = run_number(st.query_params.get("run", ""))
    shown = last if named is None else named
    if shown is None:
        return None
    if shown != last:
        with suppress(UnknownRun):  # The live view says so.
            draft.take_over(store().runs.get(shown).recipe)
    remember(shown)
    return shown


def remember(run: int) -> None:
    """Show `run` from now on, also after a reload, and after a look at another page."""
    st.session_state["shown run"] = run
    st.query_params["run"] = str(run)


@st.cache_data(ttl=5, show_spinner=False)
def lately_checked(settings: dict[str, Any]) -> Checked:
    """The recipe, or its faults, as of the last few seconds."""
    return checked(settings)


def is_double_click(recipe: Recipe) -> bool:
    """Whether this press repeats one that was just acted on."""
    last = st.session_state.get("last_press")
    now = time.monotonic()
    if last and last[0] == recipe and now - last[1] < DOUBLE_CLICK:
        return True
    st.session_state["last_press"] = (recipe, now)
    return False


main()
