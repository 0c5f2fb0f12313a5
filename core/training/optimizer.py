"""From the recipe's optimizer to torch's: a row for each of `core.optimizers`."""

from collections.abc import Callable, Iterable

from torch import nn, optim

from core.optimizers import Optimizer

TORCH: dict[str, Callable[..., optim.Optimizer]] = {"adam": optim.Adam, "sgd": optim.SGD, "adamw": optim.AdamW}
"""torch's optimizers by the recipe's names. They take the recipe's settings under the same names."""


def build_optimizer(settings: Optimizer, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """torch's optimizer for `parameters`. Penalties are terms of the objective (`core.training.objective`).

    "Fused" is one pass over all numbers, where the default makes one for every operation of the formula.
    """
    return TORCH[settings.name](parameters, **settings.model_dump(exclude={"name"}), fused=True)
