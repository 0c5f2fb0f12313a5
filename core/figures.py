"""Counts of right answers, and what may be said of them: shares, intervals, recalls."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from core.messages import Message

Confusion = tuple[tuple[int, int, int], ...]
"""How many pictures of a class got which answer: (class, answer, pictures), without those of which there are none."""

Z = 1.959964
"""Standard deviations to each side that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class Score:
    """`right` of `images` answers were right; there is at least one image."""

    right: int
    images: int

    @property
    def share(self) -> float:
        """The accuracy, 0…1."""
        return self.right / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """Between which shares the accuracy on other such pictures lies, with 95 % confidence, 0…1 (Wilson, 1927).

        Source: https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval.
        """
        n, share = self.images, self.share
        centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
        half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
        return max(0.0, centre - half), min(1.0, centre + half)

    def in_words(self) -> Message:
        """34 of 39."""
        return Message("{right:,} of {images:,}", right=self.right, images=self.images)

    def with_interval(self) -> Message:
        """34 of 39, 95 % interval 73 % to 94 %."""
        low, high = self.interval
        return Message("{score}, 95 % interval {low:.0%} to {high:.0%}", score=self.in_words(), low=low, high=high)


def score(confusion: Confusion) -> Score | None:
    """How many answers were right; None where there are none."""
    images = sum(count for _, _, count in confusion)
    right = sum(count for actual, answer, count in confusion if actual == answer)
    return Score(right, images) if images else None


def recalls(confusion: Confusion) -> dict[int, Score]:
    """For each class that there are pictures of, how many of them were recognised."""
    totals: dict[int, list[int]] = {}
    for actual, answer, count in confusion:
        total = totals.setdefault(actual, [0, 0])
        total[0] += count if actual == answer else 0
        total[1] += count
    return {label: Score(right, images) for label, (right, images) in sorted(totals.items())}


def balanced_accuracy(confusion: Confusion) -> float:
    """The mean of the recalls of the classes that there are pictures of, 0…1; 0 where there are none.

    Source: https://scikit-learn.org/stable/modules/model_evaluation.html#balanced-accuracy-score.
    """
    shares = [one.share for one in recalls(confusion).values()]
    return sum(shares) / len(shares) if shares else 0.0


def confusion_of(pairs: Iterable[tuple[int, int]]) -> Confusion:
    """Counted from pairs of a picture's class and the answer to it."""
    counts: dict[tuple[int, int], int] = {}
    for pair in pairs:
        counts[pair] = counts.get(pair, 0) + 1
    return tuple((actual, answer, count) for (actual, answer), count in sorted(counts.items()))


def merged(one: Confusion, other: Confusion) -> Confusion:
    """The counts of both together."""
    counts = {(actual, answer): count for actual, answer, count in one}
    for actual, answer, count in other:
        counts[actual, answer] = counts.get((actual, answer), 0) + count
    return tuple((actual, answer, count) for (actual, answer), count in sorted(counts.items()))
