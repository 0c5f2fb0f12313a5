"""What was taken for what, as a table; a click on a cell shows its pictures. And each class's figures beneath."""

from typing import Any

import pandas as pd
import streamlit as st

from core.figures import balanced_accuracy, by_class
from core.jobs.job import Run
from core.results.answers import Evaluation
from dashboard import palette
from dashboard.results.answer_grid import show_answers

COUNTS, SHARES = "Counts", "Per cent of the row"
ROW_HEIGHT = 36
"""In pixels."""
FAINTEST = 0.12
"""How opaque the fill of a cell with the smallest share is, of 1; that of a whole row is 1."""


def show_confusion(run: Run, evaluation: Evaluation) -> None:
    """The matrix, the pictures of the cell that is chosen, and the figures of each class."""
    form = st.segmented_control(
        "Numbers",
        [COUNTS, SHARES],
        default=COUNTS,
        required=True,
        key=f"matrix-form-{run.id}",
        label_visibility="collapsed",
    )
    counts = matrix(evaluation)
    key = f"matrix-{run.id}-{evaluation.epoch}"
    st.caption("Rows are what the pictures are, columns what the run took them for. Click a cell to see its pictures.")
    st.dataframe(
        styled(counts, in_shares=form == SHARES),
        key=key,
        on_select="rerun",
        selection_mode="single-cell",
        row_height=ROW_HEIGHT,
        height=min(len(counts) + 1, 12) * ROW_HEIGHT + 3,
    )
    _pictures_of_cell(run, evaluation, key)
    st.dataframe(class_figures(evaluation), hide_index=True, column_config=_as_shares(), height="content")
    st.text(baselines(evaluation))


def _pictures_of_cell(run: Run, evaluation: Evaluation, key: str) -> None:
    """Those of the chosen cell, if one is."""
    state = st.session_state.get(key)
    cells = state["selection"]["cells"] if state else []
    if not cells or cells[0][1] not in evaluation.classes:
        return
    own, said = cells[0][0], evaluation.classes.index(cells[0][1])
    listed = [one for one in evaluation.answers if (one.label, one.said) == (own, said)]
    st.text(f"{evaluation.classes[own]}, taken for {evaluation.classes[said]}: {len(listed)}")
    show_answers(run, evaluation, listed, f"cell-{run.id}-{own}-{said}")


def matrix(evaluation: Evaluation) -> pd.DataFrame:
    """Counts of pictures: a row for each class that they are, a column for each that they were taken for."""
    names = list(evaluation.classes)
    counts = pd.DataFrame(0, index=names, columns=names)
    for own, said, count in evaluation.confusion:
        counts.iloc[own, said] = count
    return counts


def styled(counts: pd.DataFrame, in_shares: bool) -> "pd.io.formats.style.Styler":
    """The table with fills by the share of the row: what is right in one colour, what is wrong in another."""
    shares = counts.div(counts.sum(axis=1).where(lambda total: total > 0, 1), axis=0)
    fills = pd.DataFrame("", index=counts.index, columns=counts.columns)
    for row in range(len(counts)):
        for column in range(len(counts)):
            if share := float(shares.iloc[row, column]):
                colour = palette.RIGHT if row == column else palette.WRONG
                opacity = round(255 * (FAINTEST + (0.75 - FAINTEST) * share))
                fills.iloc[row, column] = f"background-color: {colour}{opacity:02x}"
    shown = shares if in_shares else counts
    form = (lambda value: f"{value:.0%}" if value else "") if in_shares else (lambda value: f"{value}" if value else "")
    return shown.style.apply(lambda _: fills, axis=None).format(form)


def class_figures(evaluation: Evaluation) -> pd.DataFrame:
    """Precision, recall, F1 and counts of each class, in per cent."""
    rows = by_class(evaluation.confusion, len(evaluation.classes))
    return pd.DataFrame(
        {
            "Class": list(evaluation.classes),
            "Pictures": [one.images for one in rows],
            "Right": [one.right for one in rows],
            "Recall": [one.recall and 100 * one.recall for one in rows],
            "Precision": [one.precision and 100 * one.precision for one in rows],
            "F1": [one.f1 and 100 * one.f1 for one in rows],
        }
    )


def _as_shares() -> dict[str, Any]:
    helps = {
        "Recall": "Of the pictures of this class, how many were named.",
        "Precision": "Of the pictures that were named so, how many are of this class.",
        "F1": "The harmonic mean of both.",
    }
    return {name: st.column_config.NumberColumn(name, format="%.0f %%", help=text) for name, text in helps.items()}


def baselines(evaluation: Evaluation) -> str:
    """The balanced accuracy, beside what no training at all would reach."""
    parts = [f"Balanced accuracy: {balanced_accuracy(evaluation.confusion):.1%}."]
    if evaluation.guessing:
        parts.append(f"Calling everything what most training pictures are: {evaluation.guessing.in_words()}.")
    if evaluation.untrained:
        parts.append(f"The same network before it learnt: {evaluation.untrained.in_words()}.")
    return " ".join(parts)
