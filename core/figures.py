"""Counts of right answers, and what may be said of them: shares, intervals, recalls, and how far to trust them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
        low, high = (100 * end for end in self.interval)
        return Message("{score}, 95 % interval {low:.0f} % to {high:.0f} %", score=self.in_words(), low=low, high=high)

    def between(self) -> Message:
        """The interval alone: 73 to 94 %."""
        low, high = (100 * end for end in self.interval)
        return Message("{low:.0f} to {high:.0f} %", low=low, high=high)

    def in_full(self) -> Message:
        """87.2 % (34 of 39, 95 % interval 73 % to 94 %)."""
        return Message("{share:.1f} % ({counts})", share=100 * self.share, counts=self.with_interval())

    def to_json(self) -> dict[str, Any]:
        """The counts, and what they come to, rounded to six digits after the point."""
        interval = [round(end, 6) for end in self.interval]
        return {"right": self.right, "images": self.images, "accuracy": round(self.share, 6), "interval": interval}


def counted(share: float, images: int) -> Score | None:
    """The count that a share of so many images comes from; None where no count comes within a ten-thousandth of it."""
    right = round(share * images)
    return Score(right, images) if images and abs(share - right / images) < 1e-4 else None


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


@dataclass(frozen=True)
class ClassFigures:
    """How well one class is told: it has `images` pictures, `said` were taken for it, and `right` are both."""

    images: int
    said: int
    right: int

    @property
    def recall(self) -> float | None:
        """Of its pictures, the share that was named, 0…1; None where it has none."""
        return self.right / self.images if self.images else None

    @property
    def precision(self) -> float | None:
        """Of what was taken for it, the share that is of it, 0…1; None where nothing was."""
        return self.right / self.said if self.said else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both, 0…1; None where there is neither a picture nor an answer.

        Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.f1_score.html.
        """
        return 2 * self.right / (self.images + self.said) if self.images + self.said else None


def by_class(confusion: Confusion, classes: int) -> list[ClassFigures]:
    """The figures of each of so many classes."""
    counts = {(actual, answer): count for actual, answer, count in confusion}
    indices = range(classes)
    return [
        ClassFigures(
            images=sum(counts.get((label, answer), 0) for answer in indices),
            said=sum(counts.get((actual, label), 0) for actual in indices),
            right=counts.get((label, label), 0),
        )
        for label in indices
    ]


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


def answers(confusion: Confusion, classes: Sequence[str]) -> dict[str, Any] | None:
    """All that is known of a pass, for JSON: counts of the whole and of each class, and which answers there were."""
    whole = score(confusion)
    if whole is None:
        return None
    return {
        **whole.to_json(),
        "balanced_accuracy": round(balanced_accuracy(confusion), 6),
        "recalls": {classes[label]: recall.to_json() for label, recall in recalls(confusion).items()},
        "confusion": [
            {"class": classes[actual], "answer": classes[answer], "images": count}
            for actual, answer, count in confusion
        ],
    }


ENOUGH = 20
"""Validation pictures from which on nothing is said of their number."""


def few_images(images: int) -> Message | None:
    """What to make of a validation set of fewer than ENOUGH pictures; None where it has more, or none."""
    if not 0 < images < ENOUGH:
        return None
    return Message(
        "Only {count} picture validates, so its accuracy says next to nothing. More pictures, or folds, say more.",
        "Only {count} pictures validate: each is worth {points:.0f} points of accuracy, and chance moves it by "
        "several of them. More pictures, or folds, say more.",
        count=images,
        points=100 / images,
    )


def looked_at(score: Score, epoch: int, looks: int) -> Message:
    """How a test ended, and how often there was one: what was looked at again has been chosen by."""
    return Message(
        "test, looked at once: {score} (epoch {epoch})",
        "test, looked at {count} times: {score} (epoch {epoch})",
        score=score.in_full(),
        epoch=epoch,
        count=looks,
    )


def moved_in_words(moved: Mapping[str, float], zeros: float | None) -> Message | None:
    """How far the blocks moved, the farthest first, and how much of the head is exactly 0; None: nothing is known."""
    by_distance = sorted(moved.items(), key=lambda block: -block[1])
    blocks = [Message("{block} {distance:.2g}", block=block, distance=distance) for block, distance in by_distance]
    how_far = Message("How far the blocks moved, as a share of their size: {blocks}", blocks=blocks)
    nothing = Message("{zeros:.1f} % of the head's weights are exactly 0", zeros=100 * (zeros or 0.0))
    said = [how_far] * bool(blocks) + [nothing] * bool(zeros)
    return Message("{first} · {second}", first=said[0], second=said[1]) if len(said) > 1 else next(iter(said), None)


def cannot_be_told_apart(scores: Mapping[int, Score]) -> Message | None:
    """Which runs (number to score, on the same pictures) lie within chance of the highest; None where none does.

    Two lie within chance of each other where their 95 % intervals overlap. That is a careful rule: two whose intervals
    overlap a little may differ all the same.
    """
    highest = max(scores, key=lambda run: scores[run].share, default=0)
    near = [run for run, one in scores.items() if run != highest and one.interval[1] >= scores[highest].interval[0]]
    if not near:
        return None
    return Message(
        "Run {others} cannot be told apart from run {highest} by these pictures: the 95 % intervals overlap, and "
        "another seed may turn the order round.",
        "Runs {others} cannot be told apart from run {highest} by these pictures: the 95 % intervals overlap, and "
        "another seed may turn the order round.",
        others=near,
        highest=highest,
        count=len(near),
    )


@dataclass(frozen=True)
class Spread:
    """The scores of several runs of one recipe, of which there is at least one: how far chance alone moves them.

    They differ in their seeds, over the same pictures, or in the fold that they hold out.
    """

    scores: tuple[Score, ...]

    @property
    def mean(self) -> float:
        """The mean of the accuracies, each run counting as much, 0…1."""
        return sum(one.share for one in self.scores) / len(self.scores)

    @property
    def low(self) -> float:
        """The lowest accuracy, 0…1."""
        return min(one.share for one in self.scores)

    @property
    def high(self) -> float:
        """The highest accuracy, 0…1."""
        return max(one.share for one in self.scores)

    def in_words(self) -> Message:
        """Mean 92.3 %, 89 to 95 % of 5 runs."""
        return Message(
            "mean {mean:.1f} %, of {count} run",
            "mean {mean:.1f} %, {low:.0f} to {high:.0f} % of {count} runs",
            mean=100 * self.mean,
            low=100 * self.low,
            high=100 * self.high,
            count=len(self.scores),
        )

    def in_full(self) -> Message:
        """The same with the count of each run: mean 92.3 %, 89 to 95 % of 2 runs (35 of 39 and 37 of 39)."""
        return Message("{spread} ({counts})", spread=self.in_words(), counts=[one.in_words() for one in self.scores])

    def to_json(self) -> dict[str, Any]:
        """The same rounded to six digits after the point, with what is known of each run."""
        ends = {"mean": round(self.mean, 6), "low": round(self.low, 6), "high": round(self.high, 6)}
        return {**ends, "runs": [one.to_json() for one in self.scores]}


def pooled(spread: Spread) -> Score:
    """All counts as one. Only for runs that hold out different pictures, so that each picture counts once."""
    return Score(sum(one.right for one in spread.scores), sum(one.images for one in spread.scores))


def within_spread(a: Spread, b: Spread) -> Message | None:
    """What to make of two recipes whose means differ by less than the runs of one of them; None where they do not."""
    difference = abs(a.mean - b.mean)
    spread = max(a.high - a.low, b.high - b.low)
    if spread <= difference:
        return None
    return Message(
        "the means differ by {difference:.1f} points, and runs of the same settings by up to {spread:.1f}: "
        "chance alone may have made this difference",
        difference=100 * difference,
        spread=100 * spread,
    )
