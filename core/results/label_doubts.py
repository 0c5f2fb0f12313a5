"""Which pictures are likely in the wrong class: those that a classifier which knows all the others puts elsewhere.

The more another class suits a picture than its own, the further in front it comes. Of eight wrong labels planted among
156 stamps, 6.6 to 6.7 are among the first 8 and 7.7 among the first 16 (mean of 20 seeds; `tests.benchmarks.doubts`).
"""

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.data.scan import Example
from core.events import Event
from core.recipe import Recipe
from core.results.probe import MOST, Numbers, embed, leave_one_out, standardised, thinned
from core.training.setup import prepare

LISTED = 40
"""The most doubtful ones that are told of."""


@dataclass(frozen=True)
class Doubt:
    """A picture of the class `label` which looks more like `said`, by `margin`: about 0, either fits, to about 1."""

    path: Path
    label: int
    said: int
    margin: float


@dataclass(frozen=True)
class Doubts:
    """Of `pictures` pictures in all, the most doubtful first."""

    classes: tuple[str, ...]
    pictures: int
    doubts: tuple[Doubt, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        doubts = [asdict(one) | {"path": str(one.path)} for one in self.doubts]
        return {"classes": list(self.classes), "pictures": self.pictures, "doubts": doubts}


def find_doubts(recipe: Recipe, features_folder: Path) -> Generator[Event, None, Doubts]:
    """Look for likely wrong labels among the training and validation pictures of a recipe.

    It must be a `core.training.plan.pictures_question`. Raises BadData, BadImage or WeightsUnavailable.
    """
    setup = yield from prepare(recipe, features_folder)
    examples = thinned([*setup.split.train, *setup.split.val], MOST)
    vectors, _ = yield from embed(setup, examples)
    labels = np.array([one.label for one in examples])
    looks = leave_one_out(standardised(vectors), labels, len(setup.classes))
    return Doubts(setup.classes, len(examples), tuple(rank(examples, looks)[:LISTED]))


def rank(examples: Sequence[Example], looks: Numbers) -> list[Doubt]:
    """Those that another class suits better, the clearest first; `looks` (pictures, classes) are `leave_one_out`'s."""
    found = []
    for one, row in zip(examples, looks, strict=True):
        said = int(row.argmax())
        if said != one.label:
            found.append(Doubt(one.path, one.label, said, float(row[said] - row[one.label])))
    return sorted(found, key=lambda doubt: -doubt.margin)
