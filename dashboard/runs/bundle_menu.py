"""A run out of somebody else's Thaw is opened here."""

import secrets

import streamlit as st

from core import home
from core.intake.archive import store_upload
from core.jobs import results
from core.jobs.job import Job
from core.jobs.kinds import request
from core.jobs.run_kinds import OPEN, OpenArguments
from core.jobs.worker import ensure_progress
from dashboard import job_progress
from dashboard.services import store
from dashboard.text import say

KEY = "opening"
EXPLAINED = "What *Take it home* of a run calls a bundle: it can be looked at here, tried, and played again."


def show_bundle_menu() -> None:
    """A file to choose; then how far it is, and the run itself once it is there."""
    asked = st.session_state.get(KEY)
    job = store().jobs.get(asked) if asked else None
    if job and job.live:
        job_progress.wait_for(job)
        return
    if job:
        _arrive(job)
    with st.popover("Open a bundle", icon=":material/inventory_2:"):
        st.caption(EXPLAINED)
        file = st.file_uploader("Bundle", type="zip", key="bundle")
        if file and st.button("Open it", type="primary", key="open-bundle"):
            folder = home.uploads_folder() / secrets.token_hex(8)
            store_upload(folder, [(file.name, file.getvalue())])
            given = OpenArguments(file=folder / "0", title=file.name)
            st.session_state[KEY] = request(store(), OPEN, given).id
            ensure_progress(store())
            st.rerun()


def _arrive(job: Job) -> None:
    """Show the run that was in it, or why there is none."""
    found = results.read(job) if job.status == "finished" else None
    del st.session_state[KEY]
    if found:
        st.switch_page("train/page.py", query_params={"run": str(found["run"])})
    say("error", str(job.message or "Cancelled; nothing is left of it."))
