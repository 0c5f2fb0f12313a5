"""Every run there is; a click opens one."""

import pandas as pd
import streamlit as st

from core.runs.launch import fail_lost_runs
from core.runs.store import Run
from dashboard.parts import backbone_of, optimizer_of, trainable_of
from dashboard.services import store

REFRESH = 2.0
"""Seconds between two looks at the store."""


def main() -> None:
    """The table, or what to do when there is nothing to show."""
    st.subheader("Runs", help="Tick a run to open it.")
    if not store().runs():
        st.info("Nothing has been trained yet.", icon=":material/history:")
        st.page_link("views/train.py", label="Train the first run", icon=":material/play_arrow:")
        return
    table()


@st.fragment(run_every=REFRESH)
def table() -> None:
    """All runs, the newest first, as they are now."""
    fail_lost_runs(store())
    runs = store().runs()
    shown = st.session_state.get("runs shown", [])
    st.session_state["runs shown"] = [run.id for run in runs]
    chosen = st.dataframe(
        pd.DataFrame([row(run) for run in runs]),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key="runs",
        column_config={
            "run": st.column_config.NumberColumn("Run", width="small"),
            "accuracy": st.column_config.ProgressColumn("Best accuracy", min_value=0, max_value=1, format="percent"),
            "seconds": st.column_config.NumberColumn("Seconds", format="%.1f"),
            "created": st.column_config.DatetimeColumn("Started", format="distance"),
        },
    )
    if chosen.selection.rows:
        # A position in the table that was ticked, which may lack a run that has begun since.
        number = shown[chosen.selection.rows[0]]
        st.switch_page("views/train.py", query_params={"run": str(number)})


def row(run: Run) -> dict[str, object]:
    """A run as a row of the table."""
    return {
        "run": run.id,
        "Status": run.status,
        "Backbone": backbone_of(run.recipe),
        "Trainable": trainable_of(run.recipe),
        "Optimizer": optimizer_of(run.recipe),
        "accuracy": run.best_accuracy,
        "seconds": run.seconds,
        "created": run.created,
    }


main()
