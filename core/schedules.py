"""How the learning rate changes during a run: what each schedule can be told, and its formula.

A schedule is a factor on every learning rate. It depends on the step alone, so a run that goes on has the same rates as
one that was never interrupted.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from core.messages import Message
from core.recipe_fields import About, Count, Number, Row, TableOf


@dataclass(frozen=True)
class Moment:
    """Optimizer step `step`, from 0, of a run of `epochs` with so many steps each."""

    step: int
    steps_per_epoch: int
    epochs: int


class Schedule(Row):
    """What all schedules have. Each is a subclass in SCHEDULES."""

    @abstractmethod
    def factor(self, at: Moment) -> float:
        """The factor on the learning rates, 0…1."""


WarmUp = Annotated[
    Number,
    Field(ge=0),
    About("Warm-up", "Epochs in which the rate rises from almost 0 to its full value.", step=0.5),
]


def _warming(step: int, warm: float) -> float:
    """A straight line that reaches 1 after `warm` steps (torch's LinearLR from 1/warm)."""
    return min(1.0, (step + 1) / warm) if warm > 0 else 1.0


class Constant(Schedule):
    """The same rate all the time."""

    label = "Constant"
    help = "Constant keeps the rate as it is."
    name: Literal["constant"] = "constant"
    warm_up: WarmUp = 0.0

    def factor(self, at: Moment) -> float:
        """1, after the warm-up."""
        return _warming(at.step, self.warm_up * at.steps_per_epoch)


class Step(Schedule):
    """Down by a factor every few epochs (torch's StepLR)."""

    label = "Step"
    help = "Step lowers it every few epochs."
    name: Literal["step"] = "step"
    every: Annotated[Count, Field(ge=1, le=10_000), About("Lower every", "Epochs between two falls of the rate.")] = 3
    gamma: Annotated[
        Number,
        Field(gt=0, lt=1),
        About("Lower to", "Share of the rate that is left after each fall.", step=0.05),
    ] = 0.3
    warm_up: WarmUp = 0.0

    def factor(self, at: Moment) -> float:
        """gamma ^ (epochs done / every, rounded down), after the warm-up."""
        falls = at.step // at.steps_per_epoch // self.every
        return _warming(at.step, self.warm_up * at.steps_per_epoch) * float(self.gamma**falls)


class Cosine(Schedule):
    """Down to 0 along half a cosine (arXiv:1608.03983, without restarts; torch's CosineAnnealingLR)."""

    label = "Cosine"
    help = "Cosine lowers it smoothly to 0 at the last epoch."
    name: Literal["cosine"] = "cosine"
    warm_up: WarmUp = 0.0

    def factor(self, at: Moment) -> float:
        """(1 + cos(π·t/T)) / 2, with t of T steps done after the warm-up."""
        warm = self.warm_up * at.steps_per_epoch
        if at.step < warm:
            return _warming(at.step, warm)
        total = at.steps_per_epoch * at.epochs - warm
        return _half_cosine(1.0, 0.0, (at.step - warm) / total)


class OneCycle(Schedule):
    """Up, then down to almost 0 (arXiv:1708.07120; torch's OneCycleLR, momentum left alone)."""

    label = "One cycle"
    help = "One cycle raises it first, then lowers it to almost 0."
    name: Literal["one_cycle"] = "one_cycle"
    rise: Annotated[
        Number,
        Field(gt=0, lt=1),
        About("Rising part", "Share of the run in which the rate rises.", step=0.05),
    ] = 0.3

    def factor(self, at: Moment) -> float:
        """Half a cosine from 1/25 to 1, and half a one from there to 1/250,000 (torch's defaults)."""
        last = at.steps_per_epoch * at.epochs - 1
        top = self.rise * (last + 1) - 1
        if at.step <= top:
            return _half_cosine(1 / 25, 1.0, at.step / top if top > 0 else 1.0)
        return _half_cosine(1.0, 1 / 250_000, (at.step - top) / (last - top))


def _half_cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, part))) / 2


SCHEDULES: dict[str, type[Schedule]] = {
    model.model_fields["name"].default: model for model in (Constant, Step, Cosine, OneCycle)
}
"""All schedules by the name that recipes have for them. A new one is a class above and a name here."""
SCHEDULE = TableOf("schedule", About("Schedule", "How the learning rate changes."), "constant", SCHEDULES)
ChosenSchedule = Annotated[Schedule, SCHEDULE]
"""The field of a recipe that takes the settings of any schedule."""


def stretched(schedule: Schedule, before: int, after: int) -> Message | None:
    """What becomes of a schedule when a run of `before` epochs goes on to `after`; None where nothing changes."""
    ended, goes_on = (schedule.factor(Moment(before * 1000, 1000, epochs)) for epochs in (before, after))
    if before == after or math.isclose(ended, goes_on, abs_tol=1e-9):
        return None
    return Message(
        "{schedule}: the schedule is stretched from {before} to {after} epochs, so the learning rate goes on at "
        "{now:.0%} of its full value, and not at {then:.0%}.",
        schedule=schedule.label,
        before=before,
        after=after,
        now=goes_on,
        then=ended,
    )
