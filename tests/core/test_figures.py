"""Counts, intervals and what is said of them: against values by hand, and another way to find the interval."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.figures import (
    ENOUGH,
    Score,
    Spread,
    Z,
    answers,
    balanced_accuracy,
    by_class,
    cannot_be_told_apart,
    confusion_of,
    counted,
    few_images,
    looked_at,
    moved_in_words,
    pooled,
    recalls,
    score,
    within_spread,
)

CONFUSION = ((0, 0, 8), (0, 2, 2), (2, 0, 3), (2, 2, 1))
"""Class 0: 8 of 10. Class 1: no pictures. Class 2: 1 of 4."""


@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    [(34, 39, 0.733, 0.944), (35, 39, 0.764, 0.959), (0, 10, 0.0, 0.278), (10, 10, 0.722, 1.0), (1, 1, 0.207, 1.0)],
)
def test_intervals_are_those_of_tables(right: int, images: int, low: float, high: float) -> None:
    assert Score(right, images).interval == pytest.approx((low, high), abs=6e-4)


@given(st.integers(1, 5000).flatmap(lambda images: st.tuples(st.integers(0, images), st.just(images))))
def test_at_the_ends_of_an_interval_the_share_is_z_standard_deviations_away(counts: tuple[int, int]) -> None:
    """That is what the interval is by its definition; the code has the solution of this equation."""
    one = Score(*counts)
    for end in one.interval:
        assert 0 <= end <= 1
        away = abs(one.share - end)
        assert away == pytest.approx(Z * math.sqrt(end * (1 - end) / one.images), abs=1e-6)
    low, high = one.interval
    assert low - 1e-12 <= one.share <= high + 1e-12


def test_a_confusion_is_counted() -> None:
    pairs = [(0, 0)] * 8 + [(0, 2)] * 2 + [(2, 0)] * 3 + [(2, 2)]
    assert confusion_of(reversed(pairs)) == CONFUSION
    assert score(CONFUSION) == Score(9, 14)
    assert recalls(CONFUSION) == {0: Score(8, 10), 2: Score(1, 4)}
    assert balanced_accuracy(CONFUSION) == pytest.approx((0.8 + 0.25) / 2)
    assert (score(()), recalls(()), balanced_accuracy(())) == (None, {}, 0.0)


def test_answers_have_the_names_of_classes() -> None:
    told = json.loads(json.dumps(answers(CONFUSION, ("a", "b", "c"))))
    assert (told["right"], told["images"], told["balanced_accuracy"]) == (9, 14, 0.525)
    assert told["accuracy"] == pytest.approx(9 / 14, abs=1e-6)
    assert {name: (one["right"], one["images"]) for name, one in told["recalls"].items()} == {"a": (8, 10), "c": (1, 4)}
    assert told["confusion"][1] == {"class": "a", "answer": "c", "images": 2}
    assert answers((), ("a", "b")) is None


@pytest.mark.parametrize(
    ("share", "images", "count"),
    [(0.8717948794364929, 39, Score(34, 39)), (1.0, 8, Score(8, 8)), (0.7, 8, None), (0.5, 0, None)],
)
def test_the_count_behind_a_share(share: float, images: int, count: Score | None) -> None:
    assert counted(share, images) == count


def test_scores_in_words() -> None:
    assert str(Score(34, 39).in_words()) == "34 of 39"
    assert str(Score(1234, 2000).in_words()) == "1,234 of 2,000"
    assert str(Score(34, 39).between()) == "73 to 94 %"
    assert str(Score(34, 39).in_full()) == "87.2 % (34 of 39, 95 % interval 73 % to 94 %)"


def test_few_validation_pictures_are_said() -> None:
    assert [bool(few_images(images)) for images in (0, 1, ENOUGH - 1, ENOUGH)] == [False, True, True, False]
    assert str(few_images(12)).startswith("Only 12 pictures validate: each is worth 8 points")


def test_how_often_a_test_was_looked_at_is_said() -> None:
    said = "83.3 % (30 of 36, 95 % interval 68 % to 92 %) (epoch 8)"
    assert str(looked_at(Score(30, 36), 8, 1)) == f"test, looked at once: {said}"
    assert str(looked_at(Score(30, 36), 8, 3)) == f"test, looked at 3 times: {said}"


def test_what_moved() -> None:
    distances = {"stage7": 0.0312, "head": 0.42}
    far = "How far the blocks moved, as a share of their size: head 0.42, stage7 0.031"
    assert str(moved_in_words(distances, 0.0)) == far
    assert str(moved_in_words(distances, 0.75)) == f"{far} · 75.0 % of the head's weights are exactly 0"
    assert str(moved_in_words({}, 0.75)) == "75.0 % of the head's weights are exactly 0"
    assert moved_in_words({}, None) is None


def test_runs_within_chance_of_the_highest() -> None:
    # Intervals: 76 to 96 %, 73 to 94 %, 14 to 41 %.
    scores = {3: Score(35, 39), 5: Score(34, 39), 6: Score(10, 39)}
    assert str(cannot_be_told_apart(scores)).startswith("Run 5 cannot be told apart from run 3 ")
    assert str(cannot_be_told_apart(scores | {7: Score(39, 39)})).startswith(
        "Runs 3, 5 cannot be told apart from run 7"
    )
    assert cannot_be_told_apart({3: Score(35, 39), 6: Score(10, 39)}) is None
    assert cannot_be_told_apart({3: Score(35, 39)}) is None
    assert cannot_be_told_apart({}) is None


# Several runs of one recipe.


def spread(*rights: int, images: int = 40) -> Spread:
    return Spread(tuple(Score(right, images) for right in rights))


def test_a_spread_has_a_mean_and_a_range() -> None:
    seen = spread(30, 36, 33)
    assert (seen.low, seen.mean, seen.high) == (0.75, pytest.approx(0.825), 0.9)
    assert str(seen.in_full()) == "mean 82.5 %, 75 to 90 % of 3 runs (30 of 40, 36 of 40, 33 of 40)"
    assert str(spread(30).in_words()) == "mean 75.0 %, of 1 run"


def test_each_run_counts_as_much_in_the_mean_and_each_picture_in_the_pool() -> None:
    uneven = Spread((Score(1, 2), Score(9, 10)))
    assert uneven.mean == pytest.approx(0.7)
    assert pooled(uneven) == Score(10, 12)


def test_a_difference_within_the_spread_is_said_and_one_beyond_it_is_not() -> None:
    # Means of 80 % and 85 %: 5 points. The first moves by 10 points, the second by none.
    said = within_spread(spread(30, 34), spread(34, 34))
    assert str(said).startswith("the means differ by 5.0 points, and runs of the same settings by up to 10.0")
    assert within_spread(spread(34, 34), spread(30, 34)) == said
    # 80 % and 90 %: 10 points, as far as the first moves.
    assert within_spread(spread(30, 34), spread(36)) is None
    assert within_spread(spread(30), spread(36)) is None


def test_precision_recall_and_f1_of_each_class() -> None:
    """Class 0: 8 of 10 named, 11 named so. Class 1: nothing to say. Class 2: 1 of 4, of 3 named so."""
    first, second, third = by_class(CONFUSION, 3)
    assert (first.recall, first.precision, first.f1) == pytest.approx((8 / 10, 8 / 11, 16 / 21))
    assert (second.recall, second.precision, second.f1) == (None, None, None)
    assert (third.recall, third.precision, third.f1) == pytest.approx((1 / 4, 1 / 3, 2 / 7))


@settings(deadline=None)  # The first example imports scikit-learn.
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_figures_of_classes_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    own, said = zip(*pairs, strict=True)
    expected = metrics.precision_recall_fscore_support(own, said, labels=range(4), zero_division=0)
    found = by_class(confusion_of(pairs), 4)
    for column, name in enumerate(("precision", "recall", "f1", "images")):
        assert [getattr(one, name) or 0 for one in found] == pytest.approx(list(expected[column]))
