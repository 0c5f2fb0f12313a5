"""Carry out one claimed run: every event goes into the store, and on to whoever looks on."""

import time
import traceback
from collections.abc import Iterator

from core.check import check
from core.errors import RunFailed
from core.events import ArtifactSaved, EpochEnded, Event, Progress, RunFinished, RunStopped, StepEnded, StopRequested
from core.recipe import to_settings, to_toml
from core.runs import home
from core.runs.advice import advice
from core.runs.store import Run, Store
from core.training.loop import train

FLUSH_EVERY = 0.25
"""Seconds between two writes of steps: the curve grows smoothly, and the disk is not asked for every step."""
FREQUENT = (StepEnded, EpochEnded, Progress, ArtifactSaved)
"""Events that may come hundreds of times a second, and so are written together; others are written at once."""


def execute(store: Store, run: Run) -> Iterator[Event]:
    """Train `run`, which the caller has claimed; each event is in the store soon after it is given out.

    Raises RunFailed, with a sentence for the person, once the store has that sentence and the traceback.
    """
    begin = time.monotonic()
    try:
        yield from _recorded(store, run)
    except Exception as error:
        message = advice(error)
        elapsed = time.monotonic() - begin
        store.end(run.id, "failed", seconds=elapsed, message=message, traceback=traceback.format_exc())
        raise RunFailed(message) from error


def _recorded(store: Store, run: Run) -> Iterator[Event]:
    recipe = check(to_settings(run.recipe))
    (home.run_folder(run.id) / "recipe.toml").write_text(to_toml(recipe), encoding="utf-8")
    job = train(recipe, home.weights_file(run.id), home.features_folder())
    pending: list[Event] = []
    written = time.monotonic()
    stop_sent = False
    event = next(job)
    while not isinstance(event, RunFinished | RunStopped):
        pending.append(event)
        yield event
        stop = False
        if not isinstance(event, FREQUENT) or time.monotonic() - written > FLUSH_EVERY:
            stop = store.append(run.id, pending) and not stop_sent
            pending, written = [], time.monotonic()
        stop_sent = stop_sent or stop
        event = job.throw(StopRequested()) if stop else next(job)
    store.append(run.id, [*pending, event])
    store.end(run.id, "finished" if isinstance(event, RunFinished) else "stopped", seconds=event.seconds)
    yield event
