"""The pictures that a run got wrong, the surest mistakes first; then those that it only just got right."""

import streamlit as st

from core.jobs.job import Run
from core.results.answers import Evaluation
from dashboard.results.answer_grid import show_answers

EVERY = -1
"""No class, but all of them."""
WRONG, NARROW = "Wrong", "Right, but unsure"


def show_mistakes(run: Run, evaluation: Evaluation) -> None:
    """A choice of class and of kind, and the cards."""
    mistakes, narrow = evaluation.mistakes(), evaluation.narrow()
    labels = {WRONG: f"{WRONG}: {len(mistakes)}", NARROW: f"{NARROW}: {len(narrow)}"}
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        kind = st.segmented_control(
            "Which pictures",
            list(labels),
            default=WRONG,
            required=True,
            format_func=labels.__getitem__,
            key=f"mistakes-kind-{run.id}",
            label_visibility="collapsed",
        )
        label = st.selectbox(
            "Class",
            [EVERY, *range(len(evaluation.classes))],
            format_func=lambda one: "All classes" if one == EVERY else evaluation.classes[one],
            key=f"mistakes-class-{run.id}",
            width=240,
            label_visibility="collapsed",
        )
    listed = mistakes if kind == WRONG else narrow
    if label != EVERY:
        listed = [one for one in listed if label in (one.label, one.said)]
    if listed:
        show_answers(run, evaluation, listed, f"mistakes-{run.id}-{kind}-{label}")
    else:
        st.info("There are none here.", icon=":material/check_circle:")
