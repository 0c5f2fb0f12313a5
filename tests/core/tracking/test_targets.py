"""What other tools read of a run."""

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import TrackerUnavailable
from core.events import EpochEnded, Event, Metrics, RunFinished, StepEnded
from core.recipe_settings import flat_settings, parse
from core.tracking.targets import tracking

RECIPE = parse({"data": "photos", "trainable": ["stage7", "head"], "optimizer": {"name": "sgd"}})
SAID: list[Event] = [
    *(StepEnded(n, 1, 0.1, Metrics(1 / n, 0.5, 0.25, 0.0, n / 4)) for n in (1, 2, 3)),
    EpochEnded(1, Metrics(0.5, 0.5, 0.0, 0.0, 0.75), Metrics(0.25, 0.25, 0.0, 0.0, 1.0), 1.0, 9.0),
    RunFinished(1, 1.0, 2.0),
]


def tell(places: str) -> None:
    with tracking(places, "run-7", RECIPE) as track:
        for event in SAID:
            track(event)


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tell(f"tensorboard:{tmp_path}")
    written = accumulator.EventAccumulator(str(tmp_path / "run-7"))
    written.Reload()
    assert [s.step for s in written.Scalars("step/loss")] == [1, 2, 3]
    assert [s.value for s in written.Scalars("step/loss")] == pytest.approx([1, 1 / 2, 1 / 3])
    assert [(s.step, s.value) for s in written.Scalars("val/accuracy")] == [(1, 1.0)]
    assert [(s.step, s.value) for s in written.Scalars("train/loss")] == [(1, 0.5)]


@pytest.mark.filterwarnings("ignore:.*:sqlalchemy.exc.SADeprecationWarning")  # MLflow's, not ours.
def test_mlflow_reads_what_was_written(tmp_path: Path) -> None:
    tracking_of = pytest.importorskip("mlflow.tracking")
    uri = f"sqlite:///{(tmp_path / 'mlflow.sqlite').as_posix()}"
    tell(f"mlflow:{uri}")
    client = tracking_of.MlflowClient(uri)
    experiment = client.get_experiment_by_name("Thaw")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("run-7", "FINISHED")
    assert run.data.params["optimizer.lr"] == "0.01"
    assert run.data.params["trainable"] == "stage7 head"
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "step/accuracy")] == [
        (1, 0.25),
        (2, 0.5),
        (3, 0.75),
    ]
    assert run.data.metrics["val/loss"] == 0.25


@pytest.mark.parametrize(("places", "package"), [("tensorboard:logs", "tensorboard"), ("mlflow", "mlflow")])
def test_an_absent_package_is_said(places: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith(package) or name == "torch.utils.tensorboard":
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(TrackerUnavailable, match=f"pip install {package}"):
        tell(places)


@pytest.mark.parametrize("places", ["wandb:x", "tensorboard", "tensorboard:"])
def test_a_place_that_is_none_is_said(places: str) -> None:
    if places.startswith("tensorboard"):
        pytest.importorskip("tensorboard")
    with pytest.raises(TrackerUnavailable, match="tensorboard:"):
        tell(places)


def test_nowhere_is_a_place_too() -> None:
    tell("")


@pytest.mark.filterwarnings("ignore:.*:sqlalchemy.exc.SADeprecationWarning")  # MLflow's, not ours.
def test_a_place_of_mlflow_that_cannot_be_is_said() -> None:
    pytest.importorskip("mlflow")
    with pytest.raises(TrackerUnavailable, match="MLflow cannot be reached at nowhere://x"):
        tell("mlflow:nowhere://x")


def test_a_recipe_is_one_flat_row() -> None:
    flat = flat_settings(RECIPE)
    assert (flat["optimizer.name"], flat["trainable"], flat["epochs"]) == ("sgd", "stage7 head", RECIPE.epochs)
