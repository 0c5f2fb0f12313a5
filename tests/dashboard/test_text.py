"""Text stays text, and numbers read well."""

import string

import pytest

from core.messages import percent
from dashboard.text import JOINER, duration, plain, run_number, short


@pytest.mark.parametrize("text", ["birds", "Füchse 🦊", "stage 7"])
def test_words_stay_as_they_are(text: str) -> None:
    assert plain(text) == text


def test_every_punctuation_mark_is_escaped_and_set_apart() -> None:
    marks = string.punctuation
    assert plain(marks) == "".join(f"\\{mark}{JOINER}" for mark in marks)


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
