"""Two to eight runs side by side. The address names them, so that a comparison can be sent to others."""

import pandas as pd
import streamlit as st

from core.errors import UnknownRun
from core.events import METRICS
from core.jobs.job import Run
from dashboard import run_history
from dashboard.charts import RUNNING_MEANS
from dashboard.compare import comparison
from dashboard.compare.comparison import Axis, RunHistories
from dashboard.components.live_chart import live_chart
from dashboard.services import saying_trouble, store
from dashboard.text import describe_recipe, plain, run_number, say

REFRESH = 2.0
"""Seconds between two looks at runs that are still live."""
CHART_HEIGHT = 380
"""In pixels."""
MOST = 8
"""Runs: more could not be told apart."""
GAP = "Training accuracy (a running mean) less validation accuracy, in points: high where it overfits."
MARKED = "background-color: rgba(217, 98, 11, 0.18)"


def main() -> None:
    """Curves, results, settings; or how to choose runs."""
    st.subheader("Compare runs")
    numbers = chosen()
    runs = found(numbers)
    if len(runs) < 2:
        st.info("Choose two to eight runs above, or tick them in the list of runs.", icon=":material/compare_arrows:")
        st.page_link("runs/page.py", label="All runs", icon=":material/history:")
        return
    live = any(run.live for run in runs)
    st.fragment(show, run_every=REFRESH if live else None)(numbers, live)


def chosen() -> list[int]:
    """The runs of the address, which the person can change here."""
    words = st.query_params.get("runs", "").split(",")
    named = [number for number in map(run_number, words) if number is not None]
    there = {run.id: run for run in store().runs.all()}
    for number in (number for number in named if number not in there):
        say("notice", f"There is no run {number} any more.")
    # An address that is not what this page wrote was opened by somebody.
    is_opened = named != st.session_state.get("compare.named") or "compare.runs" not in st.session_state
    wanted = named if is_opened else st.session_state["compare.runs"]
    st.session_state["compare.runs"] = [number for number in dict.fromkeys(wanted) if number in there][:MOST]
    numbers = st.multiselect(
        "Runs",
        list(there),
        key="compare.runs",
        format_func=lambda number: f"Run {number} · {there[number].name or describe_recipe(there[number].recipe)}",
        max_selections=MOST,
        label_visibility="collapsed",
        placeholder="Choose runs",
    )
    st.session_state["compare.named"] = numbers
    st.query_params["runs"] = ",".join(str(number) for number in numbers)
    return numbers


def found(numbers: list[int]) -> list[Run]:
    """The runs of those numbers, without those that were deleted meanwhile."""
    runs = []
    for number in numbers:
        try:
            runs.append(store().runs.get(number))
        except UnknownRun as error:
            say("notice", str(error))
    return runs


@saying_trouble()
def show(numbers: list[int], live: bool) -> None:
    """Everything about the runs as they are now."""
    runs = found(numbers)
    if len(runs) < 2:
        st.rerun()  # The others were deleted meanwhile; the whole page says what to do.
    pairs: RunHistories = [(run, run_history.outline_of(store(), run)) for run in runs]
    axes: tuple[Axis, ...] = ("epochs", "seconds")
    axis = st.segmented_control("Curves by", axes, default="epochs", key="compare.axis", required=True)
    curves(pairs, axis)
    st.markdown("**Results** of the weights that were kept")
    results(comparison.results_table(pairs))
    for remark in comparison.remarks(pairs):
        say("notice", str(remark))
    settings(comparison.settings_table(runs))
    if live and not any(run.live for run in runs):
        st.rerun()  # Once more, without the timer.


def curves(pairs: RunHistories, axis: Axis) -> None:
    """Loss and accuracy, side by side."""
    left, right = st.columns(2)
    with left:
        live_chart(comparison.chart(pairs, "loss", axis), key=f"compare-loss-{axis}", height=CHART_HEIGHT)
    with right:
        live_chart(comparison.chart(pairs, "accuracy", axis), key=f"compare-accuracy-{axis}", height=CHART_HEIGHT)
    st.caption("Solid: validation. Dashed: training. A click on a run's name hides it, a double click shows it alone.")
    st.caption(RUNNING_MEANS)


def results(table: pd.DataFrame) -> None:
    """The table of figures."""
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        placeholder="–",
        column_config={
            **{
                f"Validation {metric.title}": st.column_config.NumberColumn(
                    format="percent" if metric.format.endswith("%") else "%.4f"
                )
                for metric in METRICS.values()
            },
            "Validation accuracy": st.column_config.NumberColumn(format="%.1f %%"),
            "Generalisation gap": st.column_config.NumberColumn(format="%.1f", help=GAP),
            "Seconds": st.column_config.NumberColumn(format="%.1f"),
            "Trainable parameters": st.column_config.NumberColumn(format="localized"),
        },
    )


def settings(table: pd.DataFrame) -> None:
    """The settings side by side; those that differ are marked, and can be had alone."""
    title, only = st.columns([3, 1], vertical_alignment="center")
    differ = int(table["differs"].sum())
    title.markdown(f"**Settings**: {differ} of {len(table)} differ" if differ else plain("All settings are the same."))
    if only.toggle("Only the differences", value=True, disabled=not differ, key="compare.only") and differ:
        table = table[table["differs"]]
    shown = table.drop(columns="differs")
    # The first column names the setting, the second is the run that the others are held against.
    styled = shown.style.apply(
        lambda row: ["", "", *(MARKED if v != row.iloc[1] else "" for v in row.iloc[2:])], axis=1
    )
    st.dataframe(styled, hide_index=True, height="content")


main()
