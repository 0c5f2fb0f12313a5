"""The optimizers and the schedules that a recipe can have: what each can be told, its defaults, what people read of it.

An optimizer makes steps of gradients; `core.training.learning` has a row for each, which builds torch's from these
settings, because no torch is here. A schedule is a factor on every learning rate. It depends on the step alone, so a
run that goes on has the same rates as one that was never interrupted.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from core.messages import Message
from core.recipe_fields import About, Count, Number, Row, Switch, TableOf

LearningRate = Annotated[
    Number, Field(gt=0), About("Learning rate", "How far each step goes. Too high diverges, too low learns nothing.")
]


class Optimizer(Row):
    """What all optimizers have. Each is a subclass in OPTIMIZERS; `core.training.learning` builds torch's.

    Its learning rate has a default of its own.
    """

    lr: LearningRate


Betas = Annotated[
    tuple[
        Annotated[
            Number,
            Field(ge=0, lt=1),
            About("beta 1", "How long gradients are remembered, from 0 up to 1.", step=0.01),
        ],
        Annotated[
            Number,
            Field(ge=0, lt=1),
            About("beta 2", "How long squared gradients are remembered, from 0 up to 1.", step=0.001),
        ],
    ],
    About("beta 1 and beta 2", "How long gradients and squared gradients are remembered.", advanced=True),
]
Epsilon = Annotated[
    Number,
    Field(gt=0),
    About("eps", "A small number that keeps the division by squared gradients finite.", step=1e-8, advanced=True),
]


class Adam(Optimizer):
    """Adam (arXiv:1412.6980) with the paper's defaults."""

    label = "Adam"
    help = "Adam adapts the step of every weight."
    name: Literal["adam"] = "adam"
    lr: LearningRate = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Epsilon = 1e-8


class Sgd(Optimizer):
    """Stochastic gradient descent with momentum, or with Nesterov's where `nesterov`. Its rate is ten times Adam's."""

    label = "SGD"
    help = "SGD takes the same step for all, with momentum."
    name: Literal["sgd"] = "sgd"
    lr: LearningRate = 1e-2
    momentum: Annotated[
        Number,
        Field(ge=0, lt=1),
        About("Momentum", "Share of the last step that is added to the next, from 0 up to 1.", step=0.05),
    ] = 0.9
    nesterov: Annotated[
        Switch,
        About(
            "Nesterov",
            "Look ahead along the momentum before taking the gradient.",
            expected="must be true or false, and true only with a momentum above 0",
        ),
    ] = False

    @field_validator("nesterov")
    @classmethod
    def _needs_momentum(cls, nesterov: bool, info: ValidationInfo) -> bool:
        if nesterov and info.data.get("momentum") == 0:
            raise ValueError("Nesterov's momentum needs a momentum above 0")
        return nesterov


class AdamW(Optimizer):
    """Adam with decoupled weight decay (arXiv:1711.05101), with torch's defaults."""

    label = "AdamW"
    help = "AdamW is Adam with a weight decay apart from the gradient."
    name: Literal["adamw"] = "adamw"
    lr: LearningRate = 1e-3
    weight_decay: Annotated[
        Number,
        Field(ge=0),
        About(
            "Weight decay",
            "Share of every trainable weight, biases too, that each step takes off, times the learning rate. L1 and L2 "
            "penalties are terms of the loss, and another thing.",
            step=0.01,
        ),
    ] = 1e-2
    betas: Betas = (0.9, 0.999)
    eps: Epsilon = 1e-8


class Lbfgs(Optimizer):
    """L-BFGS (Liu and Nocedal, 1989) over all pictures at once, for a head on kept features: the exact optimum."""

    label = "L-BFGS"
    help = "L-BFGS walks straight to the optimum of a head over all pictures at once."
    name: Literal["lbfgs"] = "lbfgs"
    lr: LearningRate = 1.0
    max_iter: Annotated[
        Count, Field(ge=1, le=1000), About("Iterations", "Steps of its own in each epoch.", advanced=True)
    ] = 20
    history_size: Annotated[
        Count, Field(ge=1, le=100), About("Memory", "Earlier gradients that shape a step.", advanced=True)
    ] = 10


OPTIMIZERS: dict[str, type[Optimizer]] = {
    model.model_fields["name"].default: model for model in (Adam, Sgd, AdamW, Lbfgs)
}
"""All optimizers by the name that recipes have for them. A new one is a class above, a name here, and a row in
`core.training.learning`."""
OPTIMIZER = TableOf("optimizer", About("Optimizer", "How a step is made of gradients."), "adam", OPTIMIZERS)
ChosenOptimizer = Annotated[Optimizer, OPTIMIZER]
"""The field of a recipe that takes the settings of any optimizer."""


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


def _warming(step: int, warm: float) -> float:
    """A straight line that reaches 1 after `warm` steps (torch's LinearLR from 1/warm)."""
    return min(1.0, (step + 1) / warm) if warm > 0 else 1.0


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
