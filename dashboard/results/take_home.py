"""Take it home: a button for each kind of file, made by a job and then offered."""

from pathlib import Path

import streamlit as st

from core import home
from core.jobs import results
from core.jobs.job import Job, Run
from core.jobs.kinds import request
from core.jobs.run_kinds import EXPORT, ExportArguments
from core.jobs.worker import ensure_progress
from core.results.export.formats import FORMATS
from dashboard import job_progress
from dashboard.services import store
from dashboard.text import say

COLUMNS = 3
NO_PICTURES = "It needs the training pictures, and this run came out of a bundle, which has none."


def show_take_home(run: Run) -> None:
    """A card for each kind of file."""
    names = list(FORMATS)
    for first in range(0, len(names), COLUMNS):
        for column, name in zip(st.columns(COLUMNS), names[first : first + COLUMNS], strict=False):
            with column.container(border=True, height="stretch"):
                _card(run, name)
    st.caption(f"On the command line: python -m core export {run.id} --to model")


def _card(run: Run, name: str) -> None:
    kind, key = FORMATS[name], f"export-{run.id}-{name}"
    st.markdown(f"**{kind.label}**")
    st.caption(kind.help)
    if kind.of_pictures and run.is_opened:
        st.caption(NO_PICTURES)
        return
    asked = st.session_state.get(key)
    job = store().jobs.get(asked) if asked else None
    if job and job.live:
        job_progress.wait_for(job)
        return
    if job and (made := _made(job)):
        st.download_button(
            f"Download {kind.file}",
            made.read_bytes(),
            file_name=f"run-{run.id}-{kind.file}",
            icon=":material/download:",
            type="primary",
            key=f"{key}-get",
        )
        return
    if job and job.message:
        say("error", str(job.message))
    if st.button("Prepare", icon=":material/package_2:", key=f"{key}-ask"):
        st.session_state[key] = request(store(), EXPORT, ExportArguments(run=run.id, to=name)).id
        ensure_progress(store())
        st.rerun()


def _made(job: Job) -> Path | None:
    """The file of a finished job; None where it is gone."""
    found = results.read(job) if job.status == "finished" else None
    file = Path(found["made"]) if found else None
    is_ours = file and home.thaw_home() in file.parents and file.is_file()
    return file if is_ours else None
