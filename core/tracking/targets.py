"""Tell other tools of a run: a tracker is a function that takes the run's events, as they come or from the store.

Which packages they need is said in the README; none of them is needed otherwise.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from core.errors import TrackerUnavailable
from core.events import Event
from core.recipe import Recipe
from core.tracking.mlflow import to_mlflow
from core.tracking.tensorboard import to_tensorboard

Tracker = Callable[[Event], None]
TARGETS: dict[str, Callable[[str, Recipe, str], AbstractContextManager[Tracker]]] = {
    "tensorboard": to_tensorboard,
    "mlflow": to_mlflow,
}


@contextmanager
def tracking(targets: str, name: str, recipe: Recipe) -> Iterator[Tracker]:
    """A tracker to all `targets`: "tensorboard:FOLDER", "mlflow:URI" or "mlflow", with commas between them.

    The run is called `name` there. Raises TrackerUnavailable when a package is absent, or a target cannot be reached.
    """
    with ExitStack() as open_trackers:
        trackers = []
        for target in filter(None, (part.strip() for part in targets.split(","))):
            kind, _, where = target.partition(":")
            if kind not in TARGETS:
                template = "{target} is no place to log to; take tensorboard:FOLDER, mlflow or mlflow:URI."
                raise TrackerUnavailable(template, target=target)
            trackers.append(open_trackers.enter_context(TARGETS[kind](name, recipe, where)))

        def track(event: Event) -> None:
            for tracker in trackers:
                tracker(event)

        yield track
