"""Find runs whose worker is gone, and have them taken up again from their last checkpoint."""

import platform
import time

import psutil

from core import home
from core.events import Notice
from core.jobs.launch import ensure_workers, process_id_of
from core.jobs.run import ENDINGS, Run
from core.jobs.store import Store

TRIES = 3
"""How often a run is taken up again; whatever ends its worker each time will not stop doing so."""
SILENCE = 60.0
"""Seconds without a heartbeat after which a worker counts as gone whose process cannot be looked at.

Counted here, from the last change that was seen: clocks of machines differ, and may be set.
"""
_heard: dict[int, tuple[float | None, float]] = {}
"""For each run, its heartbeat as seen last, and since when, by this machine's steady clock, it has been the same."""

AGAIN = "The process that trained this run was gone, without a word. Training goes on from the last checkpoint."
LOST = (
    f"The process that trained this run was ended from outside {TRIES + 1} times, or the machine ran out of memory. "
    "Choose a smaller batch size or image size if it was memory, and resume it or train again."
)


def ensure_progress(store: Store) -> None:
    """Recover what was lost, and see that somebody works on all that is to be done."""
    for line in requeue_lost_runs(store):
        print(line, flush=True)
    if waiting := store.waiting(home.installation_id()):
        ensure_workers(len(waiting) + len(store.runs("running")))


def requeue_lost_runs(store: Store) -> list[str]:
    """Deal with every lost run; returns a line about each for a log."""
    return [line for run in store.runs("running") if is_lost(run) for line in _deal_with(store, run)]


def is_lost(run: Run) -> bool:
    """Whether nobody works any more on a run that is said to be running."""
    if not run.worker:
        return False
    host, pid, _started = run.worker.rsplit("/", 2)
    if host != platform.node():
        return _silence(run) > SILENCE
    try:
        process = psutil.Process(int(pid))
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        # Another start time means another process of that number, or a clock that was set.
        return process_id_of(process) != run.worker and _silence(run) > SILENCE
    except psutil.NoSuchProcess:
        return True


def _silence(run: Run) -> float:
    """For how many seconds this process has seen the same heartbeat."""
    now = time.monotonic()
    beat, since = _heard.get(run.id, (None, now))
    if beat != run.heartbeat:
        since = now
    _heard[run.id] = (run.heartbeat, since)
    return now - since


def _deal_with(store: Store, run: Run) -> list[str]:
    lost = f"run {run.id}: its worker {run.worker} is gone"
    if run.request:
        store.end(run.id, ENDINGS[run.request], run.worker)
        return [f"{lost}; {ENDINGS[run.request]}, as was wished"]
    if run.losses >= TRIES:
        store.end(run.id, "failed", run.worker, message=LOST)
        return [f"{lost} for the {run.losses + 1}th time; failed"]
    if not store.give_back(run):
        return []
    store.append(run.id, [Notice(AGAIN)])
    return [f"{lost}; taken up again, {run.losses + 1} of {TRIES} times"]
