"""The process that trains: `python -m core.jobs.worker [PLACE]` works off the queue, one run after the other.

It owes nothing to the dashboard that started it: it reads recipes from the store, writes events to the store, and goes
on when the dashboard is closed. When the queue is empty it stays for a while, with torch loaded, so that the next run
begins at once. Runs whose worker was lost it puts back into the queue.
"""

import importlib
import sys
import threading
import time
import traceback

import psutil
from filelock import FileLock, Timeout

from core import events, home
from core.errors import JobFailed, TakenOver
from core.jobs.launch import graphics_cards, process_id
from core.jobs.patience import retry_while_unavailable
from core.jobs.recover import requeue_lost_runs
from core.jobs.run import Run
from core.jobs.store import Store, open_store
from core.settings import settings, take_card

LOOK_EVERY = 0.05
"""Seconds between two looks at an empty queue."""
LOOK_AFTER_OTHERS_EVERY = 2.0
"""Seconds between two looks for runs that nobody works on any more."""
LOAD_TORCH_AFTER = 2.0
"""Seconds with an empty queue after which torch is loaded: a page that has just been opened is drawn first."""
MEMORY = 4e9
"""Bytes of memory above which the process does not wait for another run."""
UNDO = 3600.0
"""Seconds for which a deleted run can be brought back."""


def main(place: int = 0) -> bool:
    """Serve the queue at one of the places for workers; False when another process of this THAW_HOME does.

    A run that was queued while this process gave up its place may have found nobody else: hence the second look.
    """
    store = open_store()
    served = False
    while True:
        try:
            with FileLock(home.worker_lock(place), timeout=0):
                if graphics_cards():
                    take_card(place)
                serve(store)
                served = True
        except Timeout:
            return served
        if not store.waiting(home.installation_id()):
            return served


def serve(store: Store) -> None:
    """Carry out queued runs until there has been none for THAW_WORKER_IDLE seconds."""
    here = home.installation_id()
    for gone in retry_while_unavailable(lambda: store.purge(UNDO, here)):
        home.remove_run(gone)
    idle_since = time.monotonic()
    looked_after_others = -LOOK_AFTER_OTHERS_EVERY
    while True:
        now = time.monotonic()
        if now - looked_after_others >= LOOK_AFTER_OTHERS_EVERY:
            looked_after_others = now
            for line in retry_while_unavailable(lambda: requeue_lost_runs(store)):
                print(line, flush=True)
        if run := retry_while_unavailable(lambda: store.claim(process_id(), here)):
            work_on(store, run)
            idle_since = time.monotonic()
        elif now - idle_since > settings().worker_idle or psutil.Process().memory_info().rss > MEMORY:
            return
        else:
            if now - idle_since >= LOAD_TORCH_AFTER:
                importlib.import_module("core.jobs.drive")
            threading.Event().wait(LOOK_EVERY)


def work_on(store: Store, run: Run) -> None:
    """Carry out one claimed run; what went wrong is in the store, and in the log that this process prints."""
    # Imported here because it brings torch along: a worker that finds nothing to do ends within a blink.
    from core.jobs.drive import execute
    from core.training.device import release_memory

    print(f"run {run.id}: started", flush=True)
    try:
        for event in execute(store, run):
            last = event
        print(f"run {run.id}: {events.name(last)}", flush=True)
    except (JobFailed, TakenOver):
        traceback.print_exc()
    release_memory()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
