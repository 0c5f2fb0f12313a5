"""Work about pictures as it goes on: bars, a way to cancel, and what came of it. Everything comes from the store."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core import home
from core.jobs import results
from core.jobs.job import Given, Job, Kind, shared_key
from core.jobs.kinds import cancel, request
from core.jobs.picture_kinds import IMPORTS
from core.jobs.worker import ensure_progress
from dashboard import draft
from dashboard.services import saying_trouble, store
from dashboard.text import plain, say

REFRESH = 0.5
"""Seconds between two looks."""
QUICK_REFRESH = 0.15
"""The same where people wait for a quick job: an answer about a picture takes a few hundredths of a second."""
ADDRESS = "import"
"""The word of the address that names the import which a page follows."""


def begin(kind: Kind[Given], given: Given) -> None:
    """Put an import into the queue and follow it, also after a reload."""
    st.query_params[ADDRESS] = request(store(), kind, given).id
    ensure_progress(store())


def show_imports() -> None:
    """The import that this page follows, and those that others have started; a finished one is chosen."""
    own = st.query_params.get(ADDRESS)
    going_on = [job.id for job in store().jobs.live(home.installation_id(), [kind.name for kind in IMPORTS])]
    if followed := _followed(own, going_on):
        st.fragment(_imports, run_every=REFRESH)(followed, own)


def _followed(own: str | None, going_on: list[str]) -> list[str]:
    """The jobs to show. An address that names none is cleared: it is old, or somebody wrote it."""
    if own and own not in going_on and (len(own) != 32 or store().jobs.get(own) is None):
        del st.query_params[ADDRESS]
        return going_on
    return list(dict.fromkeys([*going_on, *([own] if own else [])]))


@saying_trouble()
def _imports(followed: list[str], own: str | None) -> None:
    ensure_progress(store())
    for name in followed:
        job = store().jobs.get(name)
        if job and job.live:
            _bar(job)
            continue
        if name == own:
            _end_of_own(job)
        st.rerun()


def _end_of_own(job: Job | None) -> None:
    """Choose what has come in, or keep the sentence about why nothing did."""
    st.query_params.pop(ADDRESS, None)
    if job and job.status == "finished" and job.result:
        choose_dataset(job.result["data"])
    else:
        cancelled = "The import was cancelled; nothing is left of it."
        st.session_state["import told"] = str(job.message) if job and job.message else cancelled


def choose_dataset(data: str) -> None:
    """Choose what has just come in."""
    draft.current()["data"] = data
    st.session_state["import told"] = None


def show_last_failure() -> None:
    """How the last import ended, if it did not end well."""
    if message := st.session_state.get("import told"):
        with st.container(horizontal=True, vertical_alignment="center"):
            say("error", message)
            if st.button("Dismiss", key="dismiss"):
                st.session_state["import told"] = None
                st.rerun()


def _bar(job: Job) -> None:
    """How far a job is, and a way to cancel it."""
    progress = job.progress
    share = min(progress.done / progress.total, 1.0) if progress and progress.total else 0.0
    amount = f" · {share:.0%}" if progress and progress.total > 1 else " …"
    stage = str(progress.stage) if progress else "Waiting" if job.status == "queued" else "Starting"
    asked = bool(job.request)
    label = "Ending …" if asked else "Cancel"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(share, f"{plain(stage)}{amount}", width="stretch")
        if st.button(label, icon=":material/cancel:", key=f"cancel-{job.id}", disabled=asked):
            cancel(store(), job.id)
            st.rerun(scope="fragment")


def result_of(
    kind: Kind[Given], given: Given, by_itself: bool, ask: str, digest: str | None = None
) -> Mapping[str, Any] | None:
    """What a shared job of this kind returned; None, with a bar or a button or a sentence on the page, until it has.

    It is put into the queue `by_itself`, or by a button that says `ask`. `digest` is that of the pictures it reads,
    where it is known already. Raises BadData.
    """
    key = shared_key(kind, given, digest) or ""
    job = store().jobs.shared(key) or _ended_early(kind, key)
    if job is None and (by_itself or st.button(ask, icon=":material/search:", key=f"ask-{kind.name}")):
        job = _requested(kind, given, digest, key)
    if job is None:
        return None
    if job.live:
        wait_for(job, QUICK_REFRESH if kind.is_quick else REFRESH)
        return None
    returned = results.read(job) if job.status == "finished" else None
    if returned is not None:
        return returned
    gone = "The result was deleted." if job.status == "finished" else "Cancelled."
    say("error", str(job.message or gone))
    if st.button("Try again", icon=":material/replay:", key=f"again-{kind.name}"):
        results.forget(store(), job)
        _requested(kind, given, digest, key)
        st.rerun()
    return None


def _requested(kind: Kind[Given], given: Given, digest: str | None, key: str) -> Job:
    job = request(store(), kind, given, digest=digest)
    st.session_state[f"asked {kind.name}"] = (key, job.id)
    ensure_progress(store())
    return job


def _ended_early(kind: Kind[Given], key: str) -> Job | None:
    """The job that this session asked for, where it failed or was cancelled: the page says so until it tries again."""
    asked_key, job = st.session_state.get(f"asked {kind.name}", ("", ""))
    return store().jobs.get(job) if asked_key == key and job else None


def wait_for(job: Job, every: float = REFRESH) -> None:
    """Show how far a job is, and draw the page again once it has ended; looked at `every` so many seconds."""
    st.fragment(_waiting, run_every=every)(job.id)


@saying_trouble()
def _waiting(name: str) -> None:
    ensure_progress(store())
    job = store().jobs.get(name)
    if job is None or not job.live:
        st.rerun()
    _bar(job)
