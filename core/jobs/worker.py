"""The process that works: `python -m core.jobs.worker LANE PLACE` works off a lane of the queue, one job after another.

It does not need the dashboard that started it: it reads requests from the store, writes events to the store, and goes
on when the dashboard is closed. When the queue is empty it stays for a while, with what it has loaded, so that the next
job begins at once.

Workers die, too. Every worker, and whoever looks at the queue, finds the jobs of dead ones, puts them back into the
queue, and sees that workers are there for what waits.
"""

import importlib
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial

import psutil
from filelock import FileLock, Timeout

from core import events, home
from core.errors import BadSettings, JobFailed, Outdated, StoreUnavailable, TakenOver
from core.events import Notice
from core.jobs.job import ENDINGS, Job, Lane
from core.jobs.kinds import KINDS
from core.jobs.process import (
    QUICK_PLACE,
    ROOT,
    card_of,
    ensure_light,
    ensure_training,
    is_gone,
    lower_priority,
    process_id,
)
from core.jobs.results import discard, tidy
from core.jobs.store import Store, open_store
from core.jobs.store.database import retry_while_unavailable
from core.messages import Message
from core.settings import settings, take_card

LOOK_EVERY: dict[Lane, float] = {"training": 0.05, "light": 0.1}
"""Seconds between two looks at an empty queue."""
LOOK_AFTER_OTHERS_EVERY = 2.0
"""Seconds between two looks for jobs whose worker has died."""
LOAD_TORCH_AFTER = 2.0
"""Seconds with an empty queue after which a worker that trains loads torch: a page just opened is drawn first."""
MEMORY: dict[Lane, float] = {"training": 4e9, "light": 0.9e9}
"""Bytes of memory above which the process takes no other job.

PyTorch alone takes 0.7e9, most of it shared: two light processes stay below 1.5e9 together."""
UNDO = 3600.0
"""Seconds for which a deleted run can be brought back."""
REMEMBERED = 86_400.0
"""Seconds for which an ended job is remembered that left nothing behind."""

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


def main(lane: Lane = "training", place: int = 0) -> bool:
    """Serve a lane of the queue at one of its places; False when another process of this THAW_HOME does.

    It looks a second time: a job that was queued while this process gave up its place may have found nobody else.
    """
    store = open_store()
    served = False
    while True:
        try:
            with FileLock(home.worker_lock(lane, place), timeout=0):
                if lane == "training" and (card := card_of(place)):
                    take_card(card)
                serve(store, lane, place)
                served = True
        except Timeout:
            return served
        if not _waits(store, lane, place):
            return served
        if _is_large(lane):
            start_again(lane, place, "this process has become large")


def _kinds(lane: Lane, place: int) -> list[str]:
    """What a place takes."""
    quick_only = lane == "light" and place == QUICK_PLACE
    return [kind.name for kind in KINDS.values() if kind.lane == lane and (kind.is_quick or not quick_only)]


def _waits(store: Store, lane: Lane, place: int) -> bool:
    live = store.jobs.live(home.installation_id(), _kinds(lane, place))
    return any(job.status == "queued" for job in live)


def serve(store: Store, lane: Lane = "training", place: int = 0) -> None:
    """Carry out queued jobs until none came for THAW_WORKER_IDLE seconds, or one has made the process large."""
    here, kinds = home.installation_id(), _kinds(lane, place)
    when_stuck = partial(start_again, lane, place, "the job did not stop by itself") if lane == "light" else None
    retry_while_unavailable(lambda: clean_up(store, lane))
    idle_since = time.monotonic()
    looked_after_others = -LOOK_AFTER_OTHERS_EVERY
    while True:
        now = time.monotonic()
        if now - looked_after_others >= LOOK_AFTER_OTHERS_EVERY:
            looked_after_others = now
            for line in retry_while_unavailable(lambda: requeue_lost(store)):
                print(line, flush=True)
        if job := retry_while_unavailable(lambda: store.jobs.claim(process_id(), lane, here, kinds)):
            work_on(store, job, when_stuck)
            idle_since = time.monotonic()
            if _is_large(lane):
                return
        elif now - idle_since >= settings().worker_idle:
            return
        else:
            if lane == "training" and now - idle_since >= LOAD_TORCH_AFTER:
                importlib.import_module("core.training.loop")
            threading.Event().wait(LOOK_EVERY[lane])


def _is_large(lane: Lane) -> bool:
    return psutil.Process().memory_info().rss > MEMORY[lane]


def work_on(store: Store, job: Job, when_stuck: Callable[[], None] | None) -> None:
    """Carry out one claimed job; what went wrong is in the store, and in the log that this process prints."""
    from core.jobs.drive import drive  # Imported late: a worker that finds nothing to do ends within a blink.

    name = title(store, job)
    print(f"{name}: started", flush=True)
    last = "ended"
    try:
        for event in drive(store, job, when_stuck):
            last = events.name(event)
        print(f"{name}: {last}", flush=True)
    except (JobFailed, TakenOver):
        traceback.print_exc()
    if "torch" in sys.modules:
        from core.training.device import release_memory

        release_memory()


def clean_up(store: Store, lane: Lane) -> None:
    """Delete what has been deleted for long, what killed processes left behind, and old tasks of earlier versions."""
    if lane == "training":
        for gone in store.runs.purge(UNDO, home.installation_id()):
            home.remove_run(gone)
        return
    tidy(store)
    store.jobs.forget_ended(REMEMBERED, home.installation_id())
    tasks = home.thaw_home() / "tasks"
    if tasks.is_dir() and all(time.time() - task.stat().st_mtime > REMEMBERED for task in tasks.iterdir()):
        shutil.rmtree(tasks, ignore_errors=True)


def start_again(lane: Lane, place: int, why: str) -> None:
    """Replace this process by a new worker at its place."""
    print(f"{why}; starting again", flush=True)
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "core.jobs.worker", lane, str(place)])


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
    gone = is_gone(job.worker)
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


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == ["light"]:
            lower_priority()
        main("light" if sys.argv[1:2] == ["light"] else "training", int((sys.argv[2:] or ["0"])[0]))
    except BadSettings as wrong:
        print(wrong, file=sys.stderr)
        sys.exit(2)
    except (Outdated, StoreUnavailable) as trouble:
        print(trouble, file=sys.stderr)
        sys.exit(1)
