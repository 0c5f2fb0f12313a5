"""A run beside another on the same validation pictures: what each got right that the other did not."""

import streamlit as st

from core import home
from core.jobs.job import Run
from core.results.answers import Evaluation, duel
from dashboard.results.answer_grid import show_answers
from dashboard.results.evaluations import evaluation_of
from dashboard.services import store
from dashboard.text import describe_recipe

NONE = "There is no other run on these pictures yet. Change something, train again, and come back."
CHOSEN_BY = "Both runs kept the epoch that these pictures liked best, so both figures are a little too good."


def show_two_runs(run: Run, evaluation: Evaluation) -> None:
    """A choice of the other run, what came of the two in a sentence, and the pictures."""
    others = {other.id: other for other in rivals(run)}
    if not others:
        st.info(NONE, icon=":material/compare_arrows:")
        return
    number = st.selectbox(
        "The other run",
        list(others),
        format_func=lambda number: f"Run {number} · {describe_recipe(others[number].recipe)}",
        key=f"rival-{run.id}",
    )
    theirs = evaluation_of(others[number])
    if theirs is None:
        return
    found = duel(evaluation, theirs)
    if not found.pictures:
        st.info(
            "They held out different pictures, so they cannot be compared one by one. Use the same seed of the split."
        )
        return
    st.text(
        f"Of {found.pictures:,} pictures that both held out: run {run.id} against run {number}, {found.in_words()}."
    )
    st.caption(CHOSEN_BY)
    sides = (
        (f"Right in run {run.id} only: {len(found.first_only)}", others[number], theirs, found.first_only),
        (f"Right in run {number} only: {len(found.second_only)}", run, evaluation, found.second_only),
    )
    for title, wrong_run, wrong, answers in sides:
        st.text(title)
        show_answers(wrong_run, wrong, answers, f"duel-{run.id}-{number}-{wrong_run.id}")


def rivals(run: Run) -> list[Run]:
    """Ended runs with weights on the same pictures, the newest first."""
    return [
        other
        for other in store().runs.all()
        if other.id != run.id
        and other.recipe.data == run.recipe.data
        and not other.is_family
        and not other.live
        and other.kept_epoch
        and home.weights_file(other.id).is_file()
    ]
