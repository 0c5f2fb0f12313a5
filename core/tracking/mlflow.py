"""A run in MLflow: its settings as parameters, its curves as metrics."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from core.errors import TrackerUnavailable
from core.events import Event, RunFinished, RunStopped, measures
from core.messages import Message
from core.recipe import Recipe, flat_settings

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
