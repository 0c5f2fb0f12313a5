"""What a kept model said of the pictures that were held out: values without torch, for pages and the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import comb
from pathlib import Path
from typing import Any

from core.figures import Confusion, Score, confusion_of
from core.messages import Message

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


CHANCE = 0.05
"""A difference at least as large as one that chance makes this often, or more often, is not told from chance."""


@dataclass(frozen=True)
class Duel:
    """Two runs on the pictures that both held out: those that only the first got right, and only the second."""

    pictures: int
    first_only: tuple[Answer, ...]
    second_only: tuple[Answer, ...]

    @property
    def p_value(self) -> float:
        """How often two equally good runs would differ at least so much, 0…1 (McNemar's exact test, two-sided).

        Of the pictures that only one of them got right, each would be either's with probability 1/2.
        Source: https://en.wikipedia.org/wiki/McNemar%27s_test#Variations.
        """
        less, more = sorted((len(self.first_only), len(self.second_only)))
        ways = sum(comb(less + more, count) for count in range(less + 1))
        return min(1.0, float(2 * ways / 2.0 ** (less + more)))

    def in_words(self) -> Message:
        """6 against 2: could be chance."""
        if not self.first_only and not self.second_only:
            return Message("both got the same ones right")
        values = {"first": len(self.first_only), "second": len(self.second_only), "p": self.p_value}
        if self.p_value >= CHANCE:
            return Message("{first} against {second}: could be chance (p = {p:.2g})", **values)
        return Message("{first} against {second}: hardly chance (p = {p:.2g})", **values)


def duel(first: Evaluation, second: Evaluation) -> Duel:
    """Two evaluations, picture by picture. What is another class to one than to the other is left out.

    Classes are compared by their names. The answers that are kept are those of the run that was wrong.
    """
    theirs = {one.path: one for one in second.answers}
    pairs = [(one, theirs[one.path]) for one in first.answers if one.path in theirs]
    same = [(a, b) for a, b in pairs if first.classes[a.label] == second.classes[b.label]]
    return Duel(
        pictures=len(same),
        first_only=tuple(b for a, b in same if a.is_right and not b.is_right),
        second_only=tuple(a for a, b in same if b.is_right and not a.is_right),
    )
