"""What a kept model said of the pictures that were held out: values without torch, for pages and the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from core.figures import Confusion, Score, confusion_of

DIGITS = 6
"""Digits that are kept of a probability."""


@dataclass(frozen=True)
class Answer:
    """What was said of one picture: `shares` are the probabilities of the classes, 0…1; `label` is its own class."""

    path: Path
    label: int
    shares: tuple[float, ...]

    @cached_property
    def said(self) -> int:
        """The class that it was taken for: the likeliest, the first of several."""
        return self.shares.index(max(self.shares))

    @property
    def is_right(self) -> bool:
        """Whether it was taken for what it is."""
        return self.said == self.label

    @property
    def confidence(self) -> float:
        """The probability of what was said, 0…1."""
        return self.shares[self.said]


@dataclass(frozen=True)
class Evaluation:
    """The answers of the weights kept after `epoch` to all validation pictures.

    `untrained` is what the network scored before it learnt, and `guessing` what it would score to call every picture
    what most training pictures are. Both are None where there are no validation pictures.
    """

    classes: tuple[str, ...]
    epoch: int
    answers: tuple[Answer, ...]
    untrained: Score | None
    guessing: Score | None

    @cached_property
    def confusion(self) -> Confusion:
        """The counts of what was taken for what."""
        return confusion_of((one.label, one.said) for one in self.answers)

    def mistakes(self) -> list[Answer]:
        """The wrong answers, the surest first."""
        return sorted((one for one in self.answers if not one.is_right), key=lambda one: -one.confidence)

    def narrow(self) -> list[Answer]:
        """The right answers, the least sure first."""
        return sorted((one for one in self.answers if one.is_right), key=lambda one: one.confidence)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        answers = [[str(one.path), one.label, [round(share, DIGITS) for share in one.shares]] for one in self.answers]
        scores = {name: score and [score.right, score.images] for name, score in self._baselines().items()}
        return {"classes": list(self.classes), "epoch": self.epoch, "answers": answers} | scores

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Evaluation":
        """What `to_json` gave."""
        answers = tuple(Answer(Path(path), label, tuple(shares)) for path, label, shares in values["answers"])
        untrained, guessing = (values[name] and Score(*values[name]) for name in ("untrained", "guessing"))
        return cls(tuple(values["classes"]), values["epoch"], answers, untrained, guessing)

    def _baselines(self) -> dict[str, Score | None]:
        return {"untrained": self.untrained, "guessing": self.guessing}
