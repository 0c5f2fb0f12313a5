"""Tell other tools of a run: a tracker is a function that takes the events of a run, as they come or from the store."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import TrackerUnavailable
from core.events import Event, RunFinished, RunStopped, measures
from core.messages import Message
from core.recipe import Recipe
from core.recipe_settings import flat_settings, to_settings


@contextmanager
def to_tensorboard(name: str, recipe: Recipe, folder: str) -> Iterator[Callable[[Event], None]]:
    """A tracker that writes into `folder`/`name`: metrics of steps and of epochs, and the recipe as text.

    Raises TrackerUnavailable when the package is absent, or the folder cannot be written.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TrackerUnavailable(
            "TensorBoard's package is not installed; `pip install tensorboard` and try again."
        ) from error
    if not folder:
        raise TrackerUnavailable("TensorBoard needs a folder, as in tensorboard:logs.")
    try:
        writer = SummaryWriter(str(Path(folder) / name))
    except OSError as error:
        template = "{folder} cannot be written ({cause}); choose another folder."
        raise TrackerUnavailable(template, folder=folder, cause=str(error.strerror)) from error
    writer.add_text("recipe", f"```json\n{json.dumps(to_settings(recipe), indent=1)}\n```")

    def track(event: Event) -> None:
        at, values = measures(event)
        for name, value in values.items():
            writer.add_scalar(name, value, at)

    try:
        yield track
    finally:
        writer.close()


if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = "Thaw"
AT_ONCE = 900
"""Metrics in one request; MLflow takes 1000."""


def _new_run(name: str, recipe: Recipe, uri: str, unreachable: Message) -> tuple["MlflowClient", str]:
    """A client, and the number of a new run that has the settings. Raises TrackerUnavailable."""
    try:
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise TrackerUnavailable("MLflow's package is not installed; `pip install mlflow` and try again.") from error
    try:
        client = MlflowClient(uri or None)
        known = client.get_experiment_by_name(EXPERIMENT)
        experiment = known.experiment_id if known else client.create_experiment(EXPERIMENT)
        run: str = client.create_run(experiment, run_name=name).info.run_id
        client.log_batch(run, params=[Param(key, str(value)[:500]) for key, value in flat_settings(recipe).items()])
    except (MlflowException, OSError) as error:
        raise TrackerUnavailable("{what}: {cause}", what=unreachable, cause=str(error)) from error
    return client, run


@contextmanager
def to_mlflow(name: str, recipe: Recipe, uri: str) -> Iterator[Callable[[Event], None]]:
    """A tracker into the experiment "Thaw" at `uri`; without one, where MLflow's own settings say.

    Raises TrackerUnavailable when the package is absent, or the server cannot be reached.
    """
    unreachable = Message("MLflow cannot be reached at {uri}", uri=uri or Message("its usual place"))
    client, run = _new_run(name, recipe, uri, unreachable)
    from mlflow.entities import Metric
    from mlflow.exceptions import MlflowException

    pending: list[Metric] = []
    status = "FINISHED"

    def send() -> None:
        while pending:
            batch, pending[:] = pending[:AT_ONCE], pending[AT_ONCE:]
            client.log_batch(run, metrics=batch)

    def track(event: Event) -> None:
        nonlocal status
        now, (at, values) = int(time.time() * 1000), measures(event)
        pending.extend(Metric(name, value, now, at) for name, value in values.items())
        match event:  # A run that was laid aside may be finished later.
            case RunStopped():
                status = "KILLED"
            case RunFinished():
                status = "FINISHED"
        if len(pending) >= AT_ONCE:
            send()

    def end(status: str) -> None:
        try:
            send()
            client.set_terminated(run, status)
        except (MlflowException, OSError) as error:
            raise TrackerUnavailable("{what} any more: {cause}", what=unreachable, cause=str(error)) from error

    try:
        yield track
    except BaseException as error:
        try:
            end("FAILED")
        except TrackerUnavailable as trouble:  # What ended the run comes first.
            error.add_note(str(trouble))
        raise
    end(status)


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
