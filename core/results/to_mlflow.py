"""A run in MLflow: its settings as parameters, its curves as metrics."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.errors import TrackerUnavailable
from core.events import Event, RunStopped
from core.recipe import Recipe, flat_settings
from core.results.measures import measures

EXPERIMENT = "Thaw"
AT_ONCE = 900
"""Metrics in one request; MLflow takes 1000."""


@contextmanager
def to_mlflow(name: str, recipe: Recipe, uri: str) -> Iterator[Callable[[Event], None]]:
    """A tracker into the experiment "Thaw" at `uri`; without one, where MLflow's own settings say.

    Raises TrackerUnavailable when the package is absent, or the server cannot be reached.
    """
    try:
        from mlflow.entities import Metric, Param
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise TrackerUnavailable("MLflow's package is not installed; `pip install mlflow` and try again.") from error
    client = MlflowClient(uri or None)
    try:
        known = client.get_experiment_by_name(EXPERIMENT)
        experiment = known.experiment_id if known else client.create_experiment(EXPERIMENT)
        run = client.create_run(experiment, run_name=name).info.run_id
        params = [Param(key, str(value)[:500]) for key, value in flat_settings(recipe).items()]
        client.log_batch(run, params=params)
    except (MlflowException, OSError) as error:
        raise TrackerUnavailable(f"MLflow cannot be reached at {uri or 'its usual place'}: {error}") from error
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
        if isinstance(event, RunStopped):
            status = "KILLED"
        if len(pending) >= AT_ONCE:
            send()

    try:
        yield track
    except BaseException:
        status = "FAILED"
        raise
    finally:
        send()
        client.set_terminated(run, status)
