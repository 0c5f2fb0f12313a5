"""Would more pictures help? What a simple classifier reaches with 2, 5, 10, 20 … training pictures a class."""

from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.events import Event, Progress
from core.messages import Message
from core.recipe import Recipe
from core.results.probe import Labels, Numbers, embed, standardised, taught
from core.training.setup import prepare

SIZES = (2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Pictures a class that are tried, as far as there are so many; then all of them."""
DRAWS = 12
"""How often pictures are drawn for each size."""
MOST = 3000
"""Training pictures that are looked at; of more, so many are drawn."""
HOLDS = 0.8
"""Share of the draws that the band holds."""


@dataclass(frozen=True)
class Point:
    """What `per_class` pictures a class reach: the mean share of right answers over the draws, 0…1, and the band."""

    per_class: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class LearningCurve:
    """`points` of growing size over `held_out` validation pictures; `next` is what twice as many might reach."""

    points: tuple[Point, ...]
    held_out: int
    next: Point | None
    sentence: Message

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"sentence": self.sentence.to_json()}


def learning_curve(recipe: Recipe, features_folder: Path) -> Generator[Event, None, LearningCurve]:
    """Teach classifiers draws of the training pictures of a recipe, on what pretraining sees in them.

    It must be a `core.training.plan.pictures_question`. Raises BadData, BadImage or WeightsUnavailable.
    """
    setup = yield from prepare(recipe, features_folder)
    examples = [*setup.split.train, *setup.split.val]
    vectors, _ = yield from embed(setup, examples)
    labels = np.array([one.label for one in examples])
    count = len(setup.split.train)
    inputs = standardised(vectors)
    points = yield from _measure(inputs, labels, count, len(setup.classes), recipe.seeds.split)
    return told(points, len(setup.split.val))


def _measure(
    inputs: Numbers, labels: Labels, count: int, classes: int, seed: int
) -> Generator[Event, None, tuple[Point, ...]]:
    """A point for each size: the first `count` vectors are for training, the rest are held out."""
    held, held_labels = inputs[count:], labels[count:]
    if not len(held):
        return ()
    draw = np.random.default_rng(seed)
    known = draw.permutation(count)[:MOST]
    of_class = [known[labels[known] == label] for label in range(classes)]
    largest = max(len(one) for one in of_class)
    sizes = [size for size in SIZES if size < largest] + [largest]
    points = []
    for done, size in enumerate(sizes):
        yield Progress(Message("Training with fewer pictures"), done, len(sizes))
        draws = 1 if size == largest else DRAWS
        reached = []
        for _ in range(draws):
            chosen = np.concatenate([draw.permutation(one)[:size] for one in of_class])
            said = taught(inputs[chosen], labels[chosen], classes, held)
            reached.append(float((said.argmax(1) == held_labels).mean()))
        low, high = np.quantile(reached, [(1 - HOLDS) / 2, (1 + HOLDS) / 2])
        points.append(Point(size, float(np.mean(reached)), float(low), float(high)))
    return tuple(points)


def told(points: tuple[Point, ...], held_out: int) -> LearningCurve:
    """The curve with what twice as many pictures might bring: from nothing to what the last doubling brought."""
    if len(points) < 2:
        return LearningCurve(points, held_out, None, Message("There are too few pictures to say."))
    before, last = points[-2:]
    doublings = np.log2(last.per_class / before.per_class)
    gain = max(0.0, (last.mean - before.mean) / max(doublings, 0.5))
    high = min(1.0, last.mean + gain)
    after = Point(2 * last.per_class, (last.mean + high) / 2, last.mean, high)
    values = {"points": 100 * (high - last.mean), "count": last.per_class, "held": held_out}
    if 100 * gain < 100 / held_out / 2:
        template = (
            "More pictures of the same kind would hardly help: the last doubling brought less than one of {held} "
            "validation pictures. Others, or another network, may."
        )
    else:
        template = (
            "Twice as many pictures (now up to {count} a class) might bring up to {points:.0f} points more: that is "
            "what the last doubling brought, and each brings less than the one before."
        )
    return LearningCurve(points, held_out, after, Message(template, **values))
