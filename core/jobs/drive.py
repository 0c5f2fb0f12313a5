"""Carry out one claimed run: every event goes into the store, and on to whoever looks on."""

import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from core import home
from core.errors import JobFailed, StoreUnavailable, TakenOver, explain
from core.events import (
    ArtifactSaved,
    Checkpointing,
    EpochEnded,
    Event,
    Progress,
    RunFinished,
    RunStarted,
    RunStopped,
    StepEnded,
    StopRequested,
)
from core.jobs.patience import retry_while_unavailable
from core.jobs.run import ENDINGS, Request, Run
from core.jobs.store import Store
from core.jobs.tracked import tracked
from core.recipe import to_settings, to_toml
from core.training.loop import train
from core.training.validate import check

FLUSH_EVERY = 0.25
"""Seconds between two writes of steps: the curve grows smoothly, and the disk is not asked for every step."""
FREQUENT = (StepEnded, EpochEnded, Progress, ArtifactSaved)
"""Events that may come hundreds of times a second, and so are written together; others are written at once."""
BEAT_EVERY = 5.0
"""Seconds between two heartbeats."""


def execute(store: Store, run: Run) -> Iterator[Event]:
    """Train `run`, which the caller has claimed, from where it was left; each event is in the store soon after.

    Raises JobFailed, with a sentence for the person, once the store has that sentence and the traceback; or
    StoreUnavailable, when it could not be written for PATIENCE seconds: the run can then be taken up again; or
    TakenOver, when that has happened already, because this process was not heard of for long.
    """
    begin = time.monotonic()
    try:
        with heart(store, run), tracked(store, run) as track:
            for event in _recorded(store, run):
                track(event)
                yield event
    except (StoreUnavailable, TakenOver):
        raise
    except Exception as error:
        message, details = str(explain(error)), traceback.format_exc()
        elapsed = time.monotonic() - begin
        retry_while_unavailable(
            partial(store.end, run.id, "failed", run.worker, seconds=elapsed, message=message, traceback=details)
        )
        raise JobFailed(message) from error


def _recorded(store: Store, run: Run) -> Iterator[Event]:
    recipe = check(to_settings(run.recipe))
    if not any(isinstance(event, RunStarted) for _, event in store.events(run.id)):
        # Files that are there all the same are another database's: a run says so before it keeps anything.
        for file in (home.resume_file(run.id), home.weights_file(run.id)):
            file.unlink(missing_ok=True)
    (home.run_folder(run.id) / "recipe.toml").write_text(to_toml(recipe), encoding="utf-8")
    job = train(recipe, home.weights_file(run.id), home.features_folder(), home.resume_file(run.id))
    pending: list[Event] = []
    written = time.monotonic()
    granted: Request | None = None
    event = next(job)
    while not isinstance(event, RunFinished | RunStopped):
        if isinstance(event, Checkpointing) and run.home is None:
            retry_while_unavailable(partial(store.bind, run.id, home.installation_id()))
        pending.append(event)
        yield event
        wanted = None
        if not isinstance(event, FREQUENT) or time.monotonic() - written > FLUSH_EVERY:
            wanted = retry_while_unavailable(partial(store.append, run.id, pending, run.worker))
            pending, written = [], time.monotonic()
        if wanted and not granted:
            granted = wanted
            event = job.throw(StopRequested())
        else:
            event = next(job)
    retry_while_unavailable(partial(store.append, run.id, [*pending, event], run.worker))
    status = ENDINGS[granted] if granted and isinstance(event, RunStopped) else "finished"
    retry_while_unavailable(partial(store.end, run.id, status, run.worker, seconds=event.seconds))
    yield event


@contextmanager
def heart(store: Store, run: Run) -> Iterator[None]:
    """While it lasts, the store hears that somebody is at work, however long a step may take."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT_EVERY):
            with suppress(StoreUnavailable):  # The next beat may be heard.
                store.beat(run.id, run.worker or "")

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
