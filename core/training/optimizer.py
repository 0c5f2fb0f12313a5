"""From the recipe's optimizer to torch's: a row for each of `core.optimizers`, its learning rates, and the L1 step."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn, optim

from core.optimizers import Moment, Optimizer
from core.recipe import Recipe

RateGroups = Mapping[str, Sequence[nn.Parameter]]
"""The parameters of each group of `core.recipe.Rates`."""
Group = Mapping[str, Any]
"""One of torch's parameter groups."""


@dataclass(frozen=True)
class OptimizerRow:
    """`build` is torch's class, which takes the recipe's settings under the same names, and `options`.

    `shrinkage(optimizer, group, parameter)` is how far an L1 penalty of 1 moves each weight of a parameter towards 0 in
    the step just taken: a number, or a tensor of the parameter's shape. None where there is no L1 penalty. Where
    `full_batch`, a step takes all pictures at once.
    """

    build: Callable[..., optim.Optimizer]
    shrinkage: Callable[[optim.Optimizer, Group, nn.Parameter], Tensor | float] | None
    options: Mapping[str, Any] = field(default_factory=dict)
    full_batch: bool = False


def _adaptive(optimizer: optim.Optimizer, group: Group, parameter: nn.Parameter) -> Tensor:
    """lr / (√v̂ + ε): the step that Adam would make of a gradient of 1, weight by weight."""
    state = optimizer.state[parameter]
    correction = 1 - group["betas"][1] ** float(state["step"])
    rate: Tensor = group["lr"] / ((state["exp_avg_sq"] / correction).sqrt() + group["eps"])
    return rate


def _with_momentum(_optimizer: optim.Optimizer, group: Group, _parameter: nn.Parameter) -> float:
    """lr / (1 − momentum): what a constant gradient of 1 comes to once the momentum has built up."""
    return float(group["lr"] / (1 - group["momentum"]))


FUSED = {"fused": True}
"""One pass over all numbers, where torch's default makes one for every operation of the formula."""
ROWS: dict[str, OptimizerRow] = {
    "adam": OptimizerRow(optim.Adam, _adaptive, FUSED),
    "sgd": OptimizerRow(optim.SGD, _with_momentum, FUSED),
    "adamw": OptimizerRow(optim.AdamW, _adaptive, FUSED),
    "lbfgs": OptimizerRow(optim.LBFGS, None, {"line_search_fn": "strong_wolfe"}, full_batch=True),
}
"""By the recipe's names."""


def build_optimizer(settings: Optimizer, groups: RateGroups, factors: Mapping[str, float]) -> optim.Optimizer:
    """torch's optimizer, with a parameter group for each of `groups` that has parameters.

    Each keeps its factor, for `set_rates`. Penalties are terms of the objective (`core.training.objective`).
    """
    row = ROWS[settings.name]
    parts = [
        {"params": list(parameters), "lr": settings.lr * factors[name], "factor": factors[name]}
        for name, parameters in groups.items()
        if parameters
    ]
    if row.full_batch:  # L-BFGS takes one group only, and knows no factors.
        parts = [{"params": [parameter for parameters in groups.values() for parameter in parameters]}]
    return row.build(parts, **settings.model_dump(exclude={"name"}), **row.options)


def set_rates(optimizer: optim.Optimizer, recipe: Recipe, at: Moment) -> float:
    """Set the learning rates for the step at a moment; returns that of the first group."""
    spread_rate(optimizer, recipe.optimizer.lr, recipe.schedule.factor(at))
    return float(optimizer.param_groups[0]["lr"])


def spread_rate(optimizer: optim.Optimizer, rate: float, scheduled: float = 1.0) -> None:
    """Give every group its own factor of `rate`, times what a schedule makes of all rates."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("factor", 1.0) * scheduled


@torch.no_grad()
def shrink(optimizer: optim.Optimizer, recipe: Recipe, penalised: Iterable[nn.Parameter]) -> None:
    """The proximal step of the L1 penalty after the optimizer's own: w ← sign(w) · max(|w| − t, 0).

    A gradient of the penalty would only make weights small; this makes many of them exactly 0 (Parikh and Boyd,
    "Proximal Algorithms", 2014, section 6.5.2). t is the optimizer's `shrinkage` times the penalty.
    """
    shrinkage = ROWS[recipe.optimizer.name].shrinkage
    if not recipe.penalties.l1 or shrinkage is None:
        return
    chosen = set(penalised)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter in chosen and parameter.grad is not None:
                limit = torch.as_tensor(recipe.penalties.l1 * shrinkage(optimizer, group, parameter))
                limit = limit.to(parameter.device, parameter.dtype)
                parameter.sub_(parameter.clamp(-limit, limit))
