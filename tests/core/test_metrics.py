"""A metric of an epoch is one row: it is measured, said, stored and told to other tools, and old runs lack it."""

import json
from pathlib import Path

import pytest
import torch

from core import events
from core.events import METRICS, EpochEnded, Metric, Metrics, StepEnded, heading
from core.jobs.store import open_store
from core.recipe import Penalties
from core.training.loop import train
from core.training.objective import Objective, Tally, measure, terms
from dashboard import run_history
from dashboard.compare.comparison import results_table
from tests.conftest import MakeFolder, small_recipe

OLD = {"loss": 1.5, "cross_entropy": 1.25, "l1": 0.25, "l2": 0.0, "accuracy": 0.5}
"""A pass as databases and checkpoints have it from before there were other metrics."""


@pytest.fixture
def top2(monkeypatch: pytest.MonkeyPatch) -> str:
    """One row more in the table."""
    row = Metric(
        "top-2 accuracy",
        ".1%",
        lambda _terms, logits, labels: (logits.topk(2).indices == labels[:, None]).any(1),
        of_each_image=True,
    )
    monkeypatch.setitem(METRICS, "top2", row)
    return "top2"


def test_a_new_metric_is_one_row(make_folder: MakeFolder, tmp_path: Path, top2: str) -> None:
    recipe = small_recipe(make_folder(a=6, b=6), epochs=1)
    happened = list(train(recipe, tmp_path / "model.safetensors", None, tmp_path / "resume.pt"))
    (ended,) = [event for event in happened if isinstance(event, EpochEnded)]
    assert ended.val is not None
    assert ended.train.others.keys() == ended.val.others.keys() == {top2, "balanced_accuracy"}
    assert ended.train.others[top2] == ended.val.others[top2] == 1.0  # Of two classes, either is among the first two.
    stored = json.loads(json.dumps(events.to_dict(ended)))
    assert stored["val"].keys() == OLD.keys() | {top2, "balanced_accuracy"}
    assert events.from_dict("epoch_ended", stored) == ended
    assert events.measures(ended)[1][f"val/{top2}"] == 1.0
    history = torch.load(tmp_path / "resume.pt", weights_only=True)["history"]
    assert history[0]["train"][top2] == 1.0

    store = open_store()
    run = store.runs.queue(recipe)
    store.runs.append(run, [event for event in happened if isinstance(event, EpochEnded | StepEnded)])
    store.jobs.end(run, "finished", seconds=1.0)
    told = [(store.runs.get(run), run_history.read_history(store, run))]
    assert told[0][1].epochs == (ended,)
    assert results_table(told).iloc[0]["Validation top-2 accuracy"] == 1.0


def test_what_was_stored_before_it_still_opens(top2: str) -> None:
    old = {"epoch": 1, "train": OLD, "val": None, "seconds": 1.0, "images_per_second": 9.0}
    ended = events.from_dict("epoch_ended", old)
    assert isinstance(ended, EpochEnded)
    assert ended.train == Metrics(**OLD)
    assert top2 not in ended.train.others
    nothing = {"confusion": [], "moved": {}, "zeros": None, "kept": False}
    assert events.to_dict(ended) == old | nothing


def test_an_epoch_under_way_without_it_ends_without_it(top2: str) -> None:
    tally = Tally(4, {name: 4 * value for name, value in OLD.items()})
    logits, labels = torch.tensor([[50.0, 0.0]]), torch.tensor([0])
    tally.add(*measure(terms(logits, labels, Objective([], Penalties())), logits, labels).read())
    assert tally.mean().by_name().keys() == OLD.keys()
    assert tally.mean().accuracy == pytest.approx((4 * 0.5 + 1) / 5)
    assert top2 in Tally().sums


@pytest.mark.parametrize("values", [None, [], {"loss": 1.0}, OLD | {"l1": "much"}])
def test_what_are_no_metrics_is_refused(values: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's words are of no interest
        events.from_dict("step_ended", {"step": 1, "epoch": 1, "lr": 0.1, "metrics": values})


def test_the_rows_of_a_step_are_those_that_metrics_name() -> None:
    assert list(METRICS)[:5] == list(OLD)
    assert [heading(name) for name in METRICS] == [
        *("Loss", "Cross-entropy", "L1", "L2", "Accuracy"),
        "Balanced accuracy",
    ]
