"""The history: every run there is, to be found again, compared, labelled, tidied up. A click opens one."""

from typing import Any, Literal

import streamlit as st

from core.jobs.job import Run
from core.jobs.worker import ensure_progress
from dashboard import draft
from dashboard.runs import annotations
from dashboard.runs.bundle_menu import show_bundle_menu
from dashboard.runs.table import passes, run_filters, to_csv, to_table
from dashboard.services import saying_trouble, store

REFRESH = 2.0
"""Seconds between two looks at the store."""
ROWS = 18
"""As many are shown without a scroll bar of their own."""
COMPARABLE = range(2, 9)
"""How many runs can be compared."""
KEPT = "Of the weights that were kept: those after the epoch before it."
INTERVAL = "Where the accuracy on other such pictures lies. Runs whose intervals overlap may differ by chance."
AGAIN = "Puts the settings of the ticked run into the Train page, to be changed there."


def main() -> None:
    """The table, or what to do when there is nothing to show."""
    st.subheader("Runs")
    if not store().runs.all() and not annotations.deleted():
        st.info("Nothing has been trained yet.", icon=":material/history:")
        st.page_link("train/page.py", label="Train the first run", icon=":material/play_arrow:")
        show_bundle_menu()
        return
    show_bundle_menu()
    history()


@st.fragment(run_every=REFRESH)
@saying_trouble()
def history() -> None:
    """Filters, what can be done with the ticked runs, and the table, as they are now."""
    ensure_progress(store())
    open_clicked()
    runs = store().runs.all()
    wanted = run_filters(runs)
    found = {run.id: run for run in runs if passes(run, wanted)}
    listed = still(found)
    toolbar([listed[row] for row in sorted(_selection("rows"))], list(found.values()))
    if not listed:
        st.info("No run matches; take something out of the search above.", icon=":material/filter_alt_off:")
        return
    st.dataframe(
        to_table(listed),
        hide_index=True,
        on_select="rerun",
        selection_mode=["multi-row", "single-cell"],
        height="content" if len(listed) <= ROWS else 36 * ROWS,
        key=table_key(),
        placeholder="–",
        column_config={
            "run": st.column_config.NumberColumn("Run", width=60),
            "★": st.column_config.TextColumn(width=40),
            "Name": st.column_config.TextColumn(width="medium"),
            "accuracy": st.column_config.ProgressColumn(
                "Validation accuracy", min_value=0, max_value=100, format="%.1f %%", color="green", help=KEPT
            ),
            "interval": st.column_config.TextColumn("95 % interval", help=INTERVAL),
            "seconds": st.column_config.NumberColumn("Seconds", format="%.1f"),
            "created": st.column_config.DatetimeColumn("Started", format="distance"),
            "Tags": st.column_config.ListColumn("Tags"),
        },
    )
    st.session_state["runs listed"] = [run.id for run in listed]


def still(found: dict[int, Run]) -> list[Run]:
    """The runs to list. Ticks belong to places in the table: while there are some, every row stays in its place.

    Where that cannot be, because a row is gone, the table is another one, without ticks.
    """
    before: list[int] = st.session_state.get("runs listed", [])
    if not _selection("rows"):
        return list(found.values())
    if all(number in found for number in before):
        return [found[number] for number in before]
    st.session_state["runs table"] = st.session_state.get("runs table", 0) + 1
    return list(found.values())


def open_clicked() -> None:
    """Open the run whose cell was clicked."""
    if cells := _selection("cells"):
        number = st.session_state["runs listed"][cells[0][0]]
        st.switch_page("train/page.py", query_params={"run": str(number)})


def table_key() -> str:
    """The table's key, which changes when its ticks have lost their meaning."""
    return f"runs-{st.session_state.get('runs table', 0)}"


def _selection(kind: Literal["rows", "cells"]) -> list[Any]:
    """Positions in the table as it was drawn last."""
    state = st.session_state.get(table_key())
    return list(state["selection"][kind]) if state else []


def toolbar(chosen: list[Run], found: list[Run]) -> None:
    """What can be done with the ticked runs, and with all that are listed."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if st.button("Compare", icon=":material/stacked_line_chart:", disabled=len(chosen) not in COMPARABLE):
            numbers = ",".join(str(run.id) for run in chosen)
            st.switch_page("compare/page.py", query_params={"runs": numbers})
        if st.button("Train again", icon=":material/replay:", disabled=len(chosen) != 1, help=AGAIN):
            draft.take_over(chosen[0].recipe)
            st.session_state.pop("shown run", None)
            st.switch_page("train/page.py")
        annotations.star_button(chosen)
        annotations.name_popover(chosen)
        annotations.delete_popover(chosen)
        st.download_button(
            "CSV", to_csv(found), "runs.csv", "text/csv", icon=":material/download:", on_click="ignore", key="csv"
        )
        hint = f"{len(chosen)} ticked" if chosen else "Click a run to open it; tick some to compare or to tidy up."
        st.caption(hint)
    annotations.undo_deletion()


main()
