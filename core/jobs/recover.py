"""Find jobs whose worker has died and have them taken up again, and see that workers are there for what waits."""

import time

from core import home
from core.events import Notice
from core.jobs import process
from core.jobs.job import ENDINGS, Job
from core.jobs.kinds import KINDS
from core.jobs.process import ensure_light, ensure_training
from core.jobs.results import discard
from core.jobs.store import Store
from core.messages import Message

TRIES = 3
"""Maximum number of automatic restarts; after that the cause is probably permanent."""
SILENCE = 60.0
"""Seconds without a heartbeat after which a worker counts as dead whose process cannot be looked at.

Counted here, from the last change that was seen: clocks of machines differ, and may be set.
"""
_heard: dict[str, tuple[float | None, float]] = {}
"""For each job, its heartbeat as seen last, and since when, by this machine's steady clock, it has been the same."""

AGAIN = Message(
    "The process that trained this run was gone, without a word. Training goes on from the last checkpoint."
)
LOST_RUN = Message(
    "The process that trained this run was ended from outside {count} times, or the machine ran out of memory. "
    "Choose a smaller batch size or image size if it was memory, and resume it or train again.",
    count=TRIES + 1,
)
LOST_JOB = Message(
    "The process was ended from outside {count} times, or the machine ran out of memory; nothing was changed. "
    "Close other programs, and try again.",
    count=TRIES + 1,
)


def ensure_progress(store: Store) -> None:
    """Requeue what was lost, and see that somebody works on all that is to be done."""
    here = home.installation_id()
    live = store.jobs.live()
    for line in requeue_lost(store, live):
        print(line, flush=True)
    waiting = [job for job in live if job.status == "queued" and job.home in (None, here) and job.kind in KINDS]
    if any(job.lane == "training" for job in waiting):
        ensure_training(sum(job.lane == "training" for job in live))
    light = [job for job in waiting if job.lane == "light"]
    quick = sum(KINDS[job.kind].is_quick for job in light)
    ensure_light(quick, len(light) - quick)


def requeue_lost(store: Store, live: list[Job] | None = None) -> list[str]:
    """Deal with every lost job; returns a line about each for a log."""
    here = home.installation_id()
    running = [job for job in (store.jobs.live() if live is None else live) if job.status == "running"]
    # A light job is of its own THAW_HOME: no other machine can take it up.
    mine = [job for job in running if job.lane == "training" or job.home == here]
    return [line for job in mine if is_lost(job) for line in _deal_with(store, job)]


def title(store: Store, job: Job) -> str:
    """What to call a job in a log: "run 3", or its kind and id."""
    return f"run {store.runs.of_job(job).id}" if job.lane == "training" else f"{job.kind} {job.id}"


def is_lost(job: Job) -> bool:
    """Whether the worker of a running job has died."""
    if not job.worker:
        return False
    gone = process.is_gone(job.worker)
    return _silence(job) > SILENCE if gone is None else gone


def _silence(job: Job) -> float:
    """For how many seconds this process has seen the same heartbeat."""
    now = time.monotonic()
    beat, since = _heard.get(job.id, (None, now))
    if beat != job.heartbeat:
        since = now
    _heard[job.id] = (job.heartbeat, since)
    return now - since


def _deal_with(store: Store, job: Job) -> list[str]:
    lost = f"{title(store, job)}: its worker {job.worker} is gone"
    if job.request:
        store.jobs.end(job.id, ENDINGS[job.request], job.worker)
        discard(job)
        return [f"{lost}; {ENDINGS[job.request]}, as was wished"]
    if job.losses >= TRIES:
        store.jobs.end(job.id, "failed", job.worker, message=LOST_RUN if job.lane == "training" else LOST_JOB)
        discard(job)
        return [f"{lost} for the {job.losses + 1}th time; failed"]
    if not store.jobs.requeue(job):
        return []
    if job.lane == "training":
        store.runs.append(store.runs.of_job(job).id, [Notice(AGAIN)])
    return [f"{lost}; taken up again, {job.losses + 1} of {TRIES} times"]
