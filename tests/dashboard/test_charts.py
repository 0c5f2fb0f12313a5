"""The figures hold what the run has said, where it belongs."""

from dataclasses import replace

import numpy as np
import pytest

from core.events import EpochEnded, Metrics, RunStarted
from dashboard.charts import accuracy_chart, loss_chart
from dashboard.run_history import RunHistory
from tests.conftest import calls_of

STARTED = RunStarted(("a", "b"), 8, 2, 10, 20, epochs=5, steps_per_epoch=2, device="cpu", precision="fp32")


def metrics(loss: float, l2: float = 0.0) -> Metrics:
    return Metrics(loss=loss, cross_entropy=loss - l2, l1=0.0, l2=l2, accuracy=1 / loss)


def history(l2: float = 0.0) -> RunHistory:
    steps = [[n, (n + 1) // 2, 0.1, 8 / n, 8 / n - l2, 0.0, l2, n / 8] for n in (1, 2, 3)]
    epochs = (EpochEnded(1, metrics(6.0), metrics(5.0), 1.0, 8.0),)
    return RunHistory(started=STARTED, epochs=epochs, steps=np.array(steps))


def test_steps_lie_on_the_axis_of_epochs() -> None:
    steps, training, validation = loss_chart(history(), 5)["data"]
    assert (steps["x"], steps["y"], steps["customdata"]) == ([0.5, 1.0, 1.5], [8.0, 4.0, 2.6667], [1, 2, 3])
    assert (training["x"], training["y"]) == ([1], [6.0])
    assert (validation["x"], validation["y"]) == ([1], [5.0])


def test_terms_are_drawn_when_a_penalty_is_on() -> None:
    names = [trace["name"] for trace in loss_chart(history(l2=0.25), 5)["data"]]
    terms = ["cross-entropy", "L2", "its validation"]
    assert names == ["each step", "training", "validation", *terms]
    *_, cross_entropy, l2, validated = loss_chart(history(l2=0.25), 5)["data"]
    assert (cross_entropy["y"], l2["y"]) == ([7.75, 3.75, 2.4167], [0.25, 0.25, 0.25])
    kept = [epoch for epoch in history(l2=0.25).epochs if epoch.val]
    assert validated["y"] == [epoch.val.cross_entropy for epoch in kept if epoch.val]
    assert len({trace["line"]["dash"] for trace in (cross_entropy, l2)}) == 2


def test_accuracy_is_between_nothing_and_everything() -> None:
    figure = accuracy_chart(history(), 5)
    assert figure["data"][0]["y"] == [0.125, 0.25, 0.375]
    assert figure["layout"]["yaxis"]["tickformat"] == ".0%"


def test_validation_says_the_count_behind_it_and_training_what_it_is() -> None:
    counted = replace(history().epochs[0], epoch=2, confusion=((0, 0, 2), (1, 0, 1)))
    said = replace(history(), epochs=(*history().epochs, counted))
    _steps, training, validation = accuracy_chart(said, 5)["data"]
    assert "running mean" in training["hovertemplate"]
    assert validation["customdata"] == ["", ", 2 of 3"]
    assert validation["hovertemplate"] == "validation, epoch %{x}: %{y:.1%}%{customdata}<extra></extra>"


@pytest.mark.parametrize("chart", [loss_chart, accuracy_chart])
def test_before_the_first_step_there_are_axes(chart: type) -> None:
    figure = chart(RunHistory(), 30)
    assert all(trace["x"] == [] for trace in figure["data"])
    assert figure["layout"]["xaxis"]["range"] == [0, pytest.approx(30.6)]
    assert figure["layout"]["shapes"] == []


def test_the_kept_epoch_and_guessing_are_marked() -> None:
    first, later = (replace(history().epochs[0], epoch=n, kept=n < 3, confusion=((0, 1, 3), (1, 1, 1))) for n in (2, 3))
    said = replace(history(), epochs=(*history().epochs, first, later))
    kept, guessing = accuracy_chart(said, 5)["layout"]["shapes"]
    assert (kept["x0"], kept["x1"], kept["label"]["text"]) == (2, 2, "kept: epoch 2")
    assert (guessing["y0"], guessing["y1"], guessing["label"]["text"]) == (0.75, 0.75, "guessing: 75 %")
    assert loss_chart(said, 5)["layout"]["shapes"] == [kept]
    family = replace(said, members=(said, said))
    assert [shape["label"]["text"] for shape in accuracy_chart(family, 5)["layout"]["shapes"]] == ["guessing: 75 %"]


def test_a_hundred_thousand_steps_are_thinned_and_keep_their_peaks() -> None:
    steps = np.zeros((100_000, 8))
    steps[:, 0] = np.arange(1, 100_001)
    steps[:, 3] = np.random.default_rng(0).normal(1.0, 0.01, 100_000)
    steps[41_234, 3] = 9.0
    history = RunHistory(started=STARTED, steps=steps)
    assert calls_of(lambda: loss_chart(history, 5)) < 1000  # As many as for a few steps.
    trace = loss_chart(history, 5)["data"][0]
    assert len(trace["x"]) == len(trace["y"]) == len(trace["customdata"]) == 1000
    assert max(trace["y"]) == 9.0
    assert trace["customdata"][trace["y"].index(9.0)] == 41_235
    assert trace["customdata"][-1] == 100_000
