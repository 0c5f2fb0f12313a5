"""The process that works: `python -m core.jobs.worker LANE PLACE` works off a lane of the queue, one job after another.

It does not need the dashboard that started it: it reads requests from the store, writes events to the store, and goes
on when the dashboard is closed. When the queue is empty it stays for a while, with what it has loaded, so that the next
job begins at once. It puts jobs whose worker died back into the queue.
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
from core.jobs.job import Job, Lane
from core.jobs.kinds import KINDS
from core.jobs.process import QUICK_PLACE, ROOT, card_of, lower_priority, process_id
from core.jobs.recover import requeue_lost, title
from core.jobs.results import tidy
from core.jobs.store import Store, open_store
from core.jobs.store.database import retry_while_unavailable
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
