"""Events keep their meaning on the way to JSON and back."""

import json

import pytest

from core import events
from core.events import EpochEnded, Event, Metrics, Notice, Progress, RunStarted, StepEnded

METRICS = Metrics(loss=1.5, cross_entropy=1.25, l1=0.25, l2=0.0, accuracy=0.5)


@pytest.mark.parametrize(
    "event",
    [
        Notice("lowered"),
        Progress("Downloading", 3, 9),
        RunStarted(("a", "b"), 9, 3, 100, 200, 10, 2, "cpu", "fp32"),
        StepEnded(1, 1, 0.1, METRICS),
        EpochEnded(1, METRICS, None, 2.5, 90.0),
        EpochEnded(1, METRICS, METRICS, 2.5, 90.0),
    ],
)
def test_json_and_back(event: Event) -> None:
    assert events.from_dict(events.name(event), json.loads(json.dumps(events.to_dict(event)))) == event


def test_names_are_those_of_the_command_line() -> None:
    assert events.name(EpochEnded(1, METRICS, None, 1.0, 1.0)) == "epoch_ended"
    assert events.name(events.RunFinished) == "run_finished"
