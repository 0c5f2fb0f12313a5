"""The setting THAW_TRACK: every run is told to other tools as it goes (`core.tracking.targets`)."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import TrackerUnavailable
from core.events import Event, Notice
from core.jobs.patience import retry_while_unavailable
from core.jobs.run import Run
from core.jobs.store import Store
from core.settings import settings
from core.tracking.targets import Tracker, tracking


@contextmanager
def tracked(store: Store, run: Run) -> Iterator[Tracker]:
    """A tracker to the places that THAW_TRACK names. What goes wrong there is a notice, and never ends the run."""
    entered = False
    try:
        with tracking(settings().track, f"run-{run.id}", run.recipe) as track:
            entered = True
            yield _unfailing(track, store, run.id)
    except TrackerUnavailable as error:
        _say(store, run.id, f"The run is not logged as THAW_TRACK wishes. {error}")
        if not entered:
            yield lambda _event: None


def _unfailing(track: Tracker, store: Store, run: int) -> Tracker:
    """`track` until it fails for the first time: servers and disks do, each in its own way."""
    failed = False

    def safely(event: Event) -> None:
        nonlocal failed
        if failed:
            return
        try:
            track(event)
        except Exception as error:
            failed = True
            _say(store, run, f"The run is no longer logged as THAW_TRACK wishes: {error}")

    return safely


def _say(store: Store, run: int, text: str) -> None:
    retry_while_unavailable(lambda: store.append(run, [Notice(text)]))
