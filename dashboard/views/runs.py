"""Every run there is; a click opens one."""

from pathlib import Path

import pandas as pd
import streamlit as st

from core.runs.launch import fail_lost_runs
from core.runs.store import Run
from dashboard.parts import backbone_of, optimizer_of, trainable_of
from dashboard.services import store

REFRESH = 2.0
"""Seconds between two looks at the store."""
ROWS = 18
"""As many are shown without a scroll bar of their own."""
STATUS = {
    "queued": "⏳ queued",
    "running": "▶ running",
    "finished": "✔ finished",
    "failed": "✖ failed",
    "stopped": "■ stopped",
}


def main() -> None:
    """The table, or what to do when there is nothing to show."""
    st.subheader("Runs")
    st.caption("Click a run to open it.")
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
        selection_mode="single-cell",
        height="content" if len(runs) <= ROWS else 36 * ROWS,
        key="runs",
        column_config={
            "run": st.column_config.NumberColumn("Run", width="small"),
            "accuracy": st.column_config.ProgressColumn(
                "Best accuracy", min_value=0, max_value=100, format="%.1f %%", color="green"
            ),
            "seconds": st.column_config.NumberColumn("Seconds", format="%.1f"),
            "created": st.column_config.DatetimeColumn("Started", format="distance"),
        },
    )
    if chosen.selection.cells:
        # A position in the table that was clicked, which may lack a run that has begun since.
        number = shown[chosen.selection.cells[0][0]]
        st.switch_page("views/train.py", query_params={"run": str(number)})


def row(run: Run) -> dict[str, object]:
    """A run as a row of the table."""
    return {
        "run": run.id,
        "Status": STATUS[run.status],
        "Pictures": Path(run.recipe.data).name,
        "Backbone": backbone_of(run.recipe),
        "Trainable": trainable_of(run.recipe),
        "Optimizer": optimizer_of(run.recipe),
        "Epochs": run.recipe.epochs,
        "accuracy": None if run.best_accuracy is None else 100 * run.best_accuracy,
        "seconds": run.seconds,
        "created": run.created,
    }


main()
