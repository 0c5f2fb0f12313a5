"""Runs held against each other: which curve is whose, what differs, who overfits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.events import EpochEnded, Metrics, RunStarted
from core.jobs.job import Run
from core.jobs.store import Store
from core.recipe_settings import parse
from dashboard import run_history
from dashboard.compare import comparison
from dashboard.compare.comparison import RunHistories
from dashboard.palette import SERIES
from dashboard.run_history import RunHistory
from tests.core.jobs.by_number import end

STARTED = RunStarted(("a", "b"), 8, 2, 10, 20, epochs=5, steps_per_epoch=2, device="cpu", precision="fp32")


def metrics(loss: float, accuracy: float) -> Metrics:
    return Metrics(loss, loss, 0.0, 0.0, accuracy)


def told(store: Store, *settings: dict[str, Any]) -> RunHistories:
    """Finished runs with those settings, of which the weights after epoch 2 are kept: 7 of 10 right."""
    runs = [store.runs.queue(parse({"data": "photos"} | one)) for one in settings]
    for run in runs:
        said = [
            EpochEnded(1, metrics(1.0, 0.5), metrics(1.0, 0.4), 2.0, 1.0),
            EpochEnded(2, metrics(0.5, 0.9), metrics(0.6, 0.7), 3.0, 1.0, ((0, 0, 7), (1, 0, 3)), kept=True),
            EpochEnded(3, metrics(0.2, 1.0), metrics(0.8, 0.6), 2.0, 1.0),
        ]
        store.runs.append(run, [STARTED, *said])
        end(store, run, "finished", seconds=7.5)
    return [(store.runs.get(run), run_history.read_history(store, run)) for run in runs]


def test_each_run_has_a_colour_and_training_is_dashed(store: Store) -> None:
    data = comparison.chart(told(store, {}, {"epochs": 3}), "accuracy", "epochs")["data"]
    assert [(c["line"]["color"], c["line"]["dash"]) for c in data] == [
        (SERIES[0], "dash"),
        (SERIES[0], "solid"),
        (SERIES[1], "dash"),
        (SERIES[1], "solid"),
    ]
    assert (data[1]["x"], data[1]["y"]) == ([1, 2, 3], [0.4, 0.7, 0.6])
    assert [c["showlegend"] for c in data] == [False, True, False, True]


def test_by_seconds_the_epochs_lie_where_they_ended(store: Store) -> None:
    data = comparison.chart(told(store, {}), "loss", "seconds")["data"]
    assert data[1]["x"] == [2, 5, 7]


def test_settings_that_differ_are_marked(store: Store) -> None:
    runs = [run for run, _ in told(store, {}, {"optimizer": {"name": "sgd"}, "epochs": 3})]
    table = comparison.settings_table(runs).set_index("Setting")
    assert list(table.loc["Epochs"]) == ["10", "3", True]
    assert list(table.loc["Backbone"]) == ["mobilenet_v2", "mobilenet_v2", False]
    assert list(table.loc["Momentum"]) == ["–", "0.9", True]


def test_results_are_those_of_the_kept_epoch(store: Store) -> None:
    row = comparison.results_table(told(store, {})).iloc[0]
    assert (row["Kept epoch"], row["Validation cross-entropy"], row["Seconds"]) == (2, 0.6, 7.5)
    assert row["Validation accuracy"] == pytest.approx(70)
    assert (row["Right"], row["95 % interval"]) == ("7 of 10", "40 to 89 %")
    assert row["Generalisation gap"] == pytest.approx(20)
    assert row["Trainable parameters"] == 10


def test_a_run_that_has_said_nothing_yet_can_be_compared(store: Store) -> None:
    run = store.runs.get(store.runs.queue(parse({"data": str(Path("photos"))})))
    nothing: RunHistories = [(run, run_history.read_history(store, run.id))]
    assert all(curve["x"] == [] for curve in comparison.chart(nothing, "loss", "seconds")["data"])
    assert comparison.results_table(nothing).iloc[0]["Validation cross-entropy"] is None
    assert comparison.remarks(nothing) == []


def test_an_accuracy_without_a_count_stands_alone(store: Store) -> None:
    (run, history), *_ = told(store, {})
    old = replace(run, val=None)
    row = comparison.results_table([(old, history)]).iloc[0]
    assert (row["Validation accuracy"], row["Right"], row["95 % interval"]) == (pytest.approx(70), None, None)


def test_what_is_within_chance_is_said_on_the_same_pictures_only(store: Store) -> None:
    few, chance = map(str, comparison.remarks(told(store, {}, {"epochs": 3})))
    assert few.startswith("Only 10 pictures validate")
    assert chance.startswith("Run 2 cannot be told apart from run 1 ")
    assert comparison.remarks(told(store, {})) == []


@pytest.mark.parametrize(
    "other", [{"val_fraction": 0.5}, {"test_fraction": 0.1}, {"split_seed": 1}, {"seed": 1}, {"data": "others"}]
)
def test_other_splits_are_other_pictures(store: Store, other: dict[str, Any]) -> None:
    (said,) = map(str, comparison.remarks(told(store, {}, other)))
    assert "not validated on the same pictures" in said


def test_other_seeds_of_weights_and_order_are_the_same_pictures(store: Store) -> None:
    assert comparison.on_same_pictures(told(store, {}, {"init_seed": 1, "order_seed": 2, "epochs": 3}))


def family_of(store: Store, *rights: int, **settings: Any) -> tuple[Run, RunHistory]:
    """A finished family whose runs had so many of 40 right, after one epoch each."""
    family = store.runs.queue(parse({"data": "photos", "repeats": len(rights)} | settings))
    for child, right in zip(store.runs.get(family).members, rights, strict=True):
        counts = ((0, 0, right), (0, 1, 40 - right))
        seen = metrics(1.0, right / 40)
        said = EpochEnded(1, metrics(1.0, 0.5), seen, 2.0, 1.0, counts, kept=True)
        store.runs.append(child.id, [STARTED, said])
        end(store, child.id, "finished")
    run = store.runs.get(family)
    return run, run_history.outline_of(store, run)


def test_a_family_has_its_mean_and_the_band_of_its_runs(store: Store) -> None:
    pair = family_of(store, 30, 36)
    bands, *curves = comparison.chart([pair], "accuracy", "epochs")["data"]
    assert (bands["x"], bands["y"]) == ([1, 1], [0.9, 0.75])
    assert [curve["y"] for curve in curves] == [[0.5], [0.825]]
    row = comparison.results_table([pair]).iloc[0]
    assert (row["Validation accuracy"], row["Right"]) == (82.5, "mean 82.5 %, 75 to 90 % of 2 runs")
    assert row["95 % interval"] is None


def test_a_difference_that_seeds_make_is_said(store: Store) -> None:
    better = family_of(store, 33, 37)
    said = [str(remark) for remark in comparison.remarks([family_of(store, 30, 36), better])]
    # 82.5 % and 87.5 %; the first moves by 15 points.
    assert len(said) == 1
    assert f"and {better[0].id}: the means differ by 5.0 points, and runs of the same settings by up to 15.0" in said[0]
    assert comparison.remarks([family_of(store, 20, 20), family_of(store, 40, 40)]) == []
