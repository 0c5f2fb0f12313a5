"""Text stays text, and numbers read well."""

import string

import pytest

from core.errors import Fault
from core.messages import Message, percent
from core.recipe import Recipe
from dashboard.text import JOINER, backbone_of, duration, fault_in_words, plain, run_number, short


@pytest.mark.parametrize("text", ["birds", "Füchse 🦊", "stage 7"])
def test_words_stay_as_they_are(text: str) -> None:
    assert plain(text) == text


def test_every_punctuation_mark_is_escaped_and_set_apart() -> None:
    marks = string.punctuation
    assert plain(marks) == "".join(f"\\{mark}{JOINER}" for mark in marks)


@pytest.mark.parametrize(
    ("weights", "shown"),
    [
        ("pretrained", "ResNet-18"),
        ("random", "ResNet-18 from scratch"),
        ("run:12", "ResNet-18 from run 12"),
        ("/home/me/xray.pth", "ResNet-18 from xray.pth"),
    ],
)
def test_a_backbone_says_what_it_starts_from(weights: str, shown: str) -> None:
    assert backbone_of(Recipe(data="x", backbone="resnet18", weights=weights)) == shown


def test_lines_become_one() -> None:
    assert plain("two\n\n    lines") == "two lines"


@pytest.mark.parametrize(
    ("count", "shown"), [(928, "928"), (6405, "6.4 k"), (184_000, "184 k"), (2_223_872, "2.2 M"), (999_950, "1.0 M")]
)
def test_counts_have_three_digits_at_most(count: int, shown: str) -> None:
    assert short(count) == shown


def test_percent() -> None:
    assert percent(0.8333) == "83.3 %"
    assert percent(None) == "–"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(7.6, "8 s"), (59.7, "1 min 0 s"), (200, "3 min 20 s"), (3900, "1 h 5 min")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_only_what_can_be_a_runs_number_is_one() -> None:
    assert [run_number(text) for text in ("7", "", "-1", "x", "1.5", "9" * 5000)] == [7, None, None, None, None, None]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("optimizer.lr", -1.0, Message("must be above 0")), "Learning rate -1: must be above 0."),
        (Fault("epochs", 0, Message("must be more")), "Epochs 0: must be more."),
        (
            Fault("trainable", [], Message("…")),
            "Every block is frozen, so there is nothing to train. Click a block to thaw it.",
        ),
        (Fault("data", "/x", Message("/x is not a folder; give another.")), "/x is not a folder; give another."),
        (Fault("data", "", Message("…")), "Choose pictures: a sample, or the path of a folder."),
    ],
)
def test_a_wrong_setting_is_said_by_its_name_on_the_page(fault: Fault, sentence: str) -> None:
    assert fault_in_words(fault) == sentence
