"""What workers do with jobs, by the numbers of runs: tests think in runs."""

from typing import Any

from core.errors import TakenOver
from core.jobs.job import Run, Status
from core.jobs.store import Store


def claim(store: Store, worker: str, home: str | None = None) -> Run | None:
    """The run that `worker` gets, if one waits."""
    job = store.jobs.claim(worker, "training", home)
    return store.runs.of_job(job) if job else None


def end(store: Store, run: int, status: Status, worker: str | None = None, **about: Any) -> bool:
    """Close the run's job."""
    return store.jobs.end(store.runs.get(run).job.id, status, worker, **about)


def beat(store: Store, run: int, worker: str) -> bool:
    """Say that `worker` is at work on the run; False when the run is no longer its own."""
    try:
        store.jobs.beat(store.runs.get(run).job.id, worker)
    except TakenOver:
        return False
    return True


def bind(store: Store, run: int, home: str) -> None:
    """Let only workers of the THAW_HOME `home` have the run."""
    store.jobs.bind(store.runs.get(run).job.id, home)
