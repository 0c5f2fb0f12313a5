"""The process that trains: `python -m core.runs.worker` works off the queue, one run after the other, and ends.

It owes nothing to the dashboard that started it: it reads recipes from the store, writes events to the store, and goes
on when the dashboard is closed.
"""

import traceback

from filelock import FileLock

from core.errors import RunFailed
from core.runs import home
from core.runs.launch import fail_lost_runs, identity
from core.runs.store import Run, Store


def main() -> None:
    """Wait until no other worker of this THAW_HOME is at work, then carry out queued runs until none is left."""
    store = Store(home.database_url())
    with FileLock(home.home() / "worker.lock"):
        fail_lost_runs(store)
        while run := store.claim(identity()):
            work_on(store, run)


def work_on(store: Store, run: Run) -> None:
    """Carry out one claimed run; what went wrong is in the store, and in the log that this process prints."""
    # Imported here because it brings torch along: a worker that finds the queue empty ends within a blink.
    from core.runs.execute import execute

    print(f"run {run.id}: started", flush=True)
    try:
        for _event in execute(store, run):
            pass
    except RunFailed:
        traceback.print_exc()
    print(f"run {run.id}: {store.run(run.id).status}", flush=True)


if __name__ == "__main__":
    main()
