"""Which learning rate to start from: the loss of a few steps, while the rate grows from one step to the next.

The search is that of Smith (Cyclical Learning Rates for Training Neural Networks, arXiv:1506.01186, section 3.3); it
averages and ends as fastai's lr_find does. It proposes the rate at which the averaged loss falls fastest over the
logarithm of the rate. A tenth of the rate with the lowest loss, another common rule, is far too high for a head: its
loss is lowest at rates that fit the training pictures and nothing else (0.1 and more on the stamps, with Adam).

Tried with 4 seeds against the cross-entropy in validation after 10 epochs, over 3 seeds: on the head for the stamps, it
proposes 0.004 to 0.005 for Adam (lowest of seven rates tried: 0.003) and 0.003 to 0.004 for SGD (0.01, and 0.003 as
good); for the digits 0.01 (0.03, and 0.01 nearly) and 0.02 to 0.03 (0.03); for the stamps' last three blocks at 96
pixels 2e-4 to 3e-4 (3e-4) and 5e-4 to 7e-4 (1e-3).
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

from core.data.tensors import Batch
from core.errors import Diverged
from core.events import Event, Progress
from core.messages import Message
from core.optimizers import Optimizer
from core.recipe import Recipe
from core.recipe_settings import rate_question
from core.training.learning import spread_rate
from core.training.loop import let_learn, take_step, training_batches
from core.training.setup import Setup, prepare

STEPS = 100
LOWEST, HIGHEST = 1e-4, 1e3
"""The first and the last rate, as factors on the optimizer's own default."""
SMOOTHING = 0.9
"""Share of the average that is left after each step. fastai has 0.98; over so few steps that lags behind by decades."""
BLOWN_UP = 4.0
"""Times its lowest value at which the averaged loss ends the search."""
REACH = 5
"""Steps to either side over which the fall of the loss is measured: over fewer, the choice of pictures decides."""
TRYING = Message("Trying learning rates")


@dataclass(frozen=True)
class RateSweep:
    """The averaged loss, with penalties, up to the step at each rate; `suggested` is None where it never fell."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggested: float | None
    sentence: Message

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"sentence": self.sentence.to_json()}


def find_rate(recipe: Recipe, features_folder: Path | None) -> Generator[Event, None, RateSweep]:
    """Try the rates that `recipe` could have, from the same start; nothing is kept but features, as in training.

    All that the recipe lets learn takes part, also what would wait for the head. Of repeats and folds, the first is
    tried. Raises BadRecipe for an optimizer that has no use for it, BadData, BadImage or WeightsUnavailable.
    """
    recipe = rate_question(recipe)
    setup = yield from prepare(recipe, features_folder)
    rates = rates_for(recipe.optimizer)
    losses = yield from _sweep(setup, rates)
    tried = rates[: len(losses)]
    place = steepest(losses)
    suggested = None if place is None else rounded(tried[place])
    return RateSweep(tried, losses, suggested, in_words(suggested, rates, losses))


def rates_for(optimizer: Optimizer) -> tuple[float, ...]:
    """STEPS rates around the optimizer's own default, each the same factor above the one before."""
    default = type(optimizer).model_fields["lr"].default
    return tuple(default * LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1)) for step in range(STEPS))


def _sweep(setup: Setup, rates: Sequence[float]) -> Generator[Event, None, tuple[float, ...]]:
    """The averaged loss at each rate, up to the one at which it has blown up."""
    let_learn(setup, epoch=1)
    seen: list[float] = []
    averages: tuple[float, ...] = ()
    for step, (rate, batch) in enumerate(zip(rates, _batches(setup), strict=False), start=1):
        spread_rate(setup.optimizer, rate)
        try:
            metrics, _ = take_step(setup, batch, None, step)
        except Diverged:
            break
        seen.append(metrics.loss)
        averages = averaged(seen)
        yield Progress(TRYING, step, len(rates))
        if has_blown_up(averages):
            break
    return averages


def _batches(setup: Setup) -> Iterator[Batch]:
    """Those of one epoch after the other, without end."""
    for epoch in count(1):
        yield from setup.inputs.training(training_batches(setup, epoch), epoch)


def averaged(losses: Sequence[float]) -> tuple[float, ...]:
    """The exponentially weighted mean of all losses up to each one, its weights adding up to 1 from the start."""
    total = 0.0
    means = []
    for number, loss in enumerate(losses, start=1):
        total = SMOOTHING * total + (1 - SMOOTHING) * loss
        means.append(total / (1 - SMOOTHING**number))
    return tuple(means)


def has_blown_up(averages: Sequence[float]) -> bool:
    """Whether the last one is more than BLOWN_UP times the lowest."""
    return averages[-1] > BLOWN_UP * min(averages)


def steepest(averages: Sequence[float]) -> int | None:
    """Where the loss falls most, REACH steps before to REACH after, on its way to the lowest; None where nowhere."""
    lowest = min(range(len(averages)), key=averages.__getitem__, default=0)
    falls = {at: averages[at - REACH] - averages[at + REACH] for at in range(REACH, lowest - REACH + 1)}
    place = max(falls, key=falls.__getitem__, default=None)
    return place if place is not None and falls[place] > 0 else None


def rounded(rate: float) -> float:
    """To one digit, which is as much as such a search can tell."""
    return float(f"{rate:.0e}")


def in_words(suggested: float | None, rates: Sequence[float], losses: Sequence[float]) -> Message:
    """What came of a search that would have tried all `rates`, and found so many `losses`."""
    last = rounded(rates[max(len(losses) - 1, 0)])
    if suggested is None:
        template = "The loss fell at no learning rate from {first:g} to {last:g}, so none is proposed."
        return Message(template, first=rounded(rates[0]), last=last)
    is_over = len(losses) < len(rates) or has_blown_up(losses)
    end = "blew up at about {last:g}" if is_over else "had not blown up at {last:g}"
    template = "Start from a learning rate of {rate:g}: the loss fell fastest there; it {end}."
    return Message(template, rate=suggested, end=Message(end, last=last))
