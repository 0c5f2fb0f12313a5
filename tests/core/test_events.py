"""Events keep their meaning on the way to JSON and back."""

import json

import pytest

from core import events
from core.events import EpochEnded, Event, Metrics, Notice, Progress, RunStarted, StepEnded
from core.messages import Message

METRICS = Metrics(loss=1.5, cross_entropy=1.25, l1=0.25, l2=0.0, accuracy=0.5)


@pytest.mark.parametrize(
    "event",
    [
        Notice(Message("The batch size was lowered to {size}.", size=4)),
        Progress(Message("Downloading {name}", name="resnet50"), 3, 9),
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


def test_sentences_that_were_stored_as_text_are_read() -> None:
    assert events.from_dict("notice", {"text": "lowered {1}"}) == Notice(Message("lowered {1}"))
    assert events.from_dict("progress", {"stage": "Reading", "done": 1, "total": 2}) == Progress(
        Message("Reading"), 1, 2
    )


def test_a_sentence_is_stored_with_its_values() -> None:
    stored = events.to_dict(Notice(Message("{count} picture", "{count} pictures", count=3)))
    assert stored == {"text": {"one": "{count} picture", "many": "{count} pictures", "values": {"count": 3}}}
