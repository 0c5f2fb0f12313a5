"""What learns in a network, and how: its parameters by an optimizer's steps, its BatchNorms' statistics by measuring.

From the recipe's optimizer to torch's there is a row for each of `core.optimizers`; then come its learning rates and
the L1 step.

In training, BatchNorm keeps running means of its batches' statistics. They lag behind weights that move fast in few
steps: a network trained from scratch on a hundred pictures then answers at random in eval mode, while it is right in
training mode. So the statistics are estimated anew before they are used, over the whole training set and for the
weights as they are then ("precise BatchNorm": Wu and Johnson, Rethinking "Batch" in BatchNorm, arXiv:2105.07576,
section 3).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn, optim
from torch.nn.modules.batchnorm import _BatchNorm

from core.backbones import catalogue
from core.backbones.build import switch, train_mode
from core.backbones.catalogue import Backbone
from core.optimizers import Moment, Optimizer
from core.recipe import Recipe
from core.training.plan import measured_batchnorms

Parameters = Mapping[str, Sequence[nn.Parameter]]
"""Parameters that learn, by the name of a block or of a group of `core.recipe.Rates`."""
Group = Mapping[str, Any]
"""One of torch's parameter groups."""


@dataclass(frozen=True)
class Learning:
    """What learns at one time: `awake` are the modules in training mode, `parameters` those that get gradients.

    `measured` are the BatchNorms among them whose statistics are measured anew before each validation.
    """

    awake: tuple[nn.Module, ...]
    parameters: tuple[nn.Parameter, ...]
    measured: tuple[_BatchNorm, ...]


def learning(model: nn.Module, backbone: Backbone, layers: frozenset[str], recipe: Recipe) -> Learning:
    """Put what learns into training mode, but for BatchNorms that keep their statistics.

    With an optimizer that takes all pictures at once, nothing is in training mode: it needs a function without chance.
    """
    train_mode(model, backbone, layers)
    if recipe.batchnorm == "keep":
        switch(_batchnorms(model, (layer.path for layer in backbone.layers if layer.is_batchnorm)), training=False)
    if ROWS[recipe.optimizer.name].full_batch:
        model.eval()
    awake = tuple(module for module in model.modules() if module.training)
    parameters = tuple(parameter for parameter in model.parameters() if parameter.requires_grad)
    return Learning(awake, parameters, _batchnorms(model, measured_batchnorms(recipe)))


def only_head(model: nn.Module, backbone: Backbone, everything: Learning) -> Learning:
    """The part of all that learns that lies in the head, the dropout before it included."""
    head = backbone.blocks[-1]
    paths = dict(model.named_modules())
    inside = {module for path in head.modules if path in paths for module in paths[path].modules()}
    own = {id(parameter) for parameter in by_block(model, backbone).get(head.name, ())}
    return Learning(
        tuple(module for module in everything.awake if module in inside),
        tuple(parameter for parameter in everything.parameters if id(parameter) in own),
        tuple(layer for layer in everything.measured if layer in inside),
    )


def still_norms(network: nn.Module, everything: Learning) -> frozenset[nn.Module]:
    """The BatchNorms of a network that are in eval mode throughout the run."""
    return frozenset(part for part in network.modules() if isinstance(part, nn.BatchNorm2d)) - set(everything.awake)


def by_block(model: nn.Module, backbone: Backbone) -> Parameters:
    """The parameters that learn, by their block."""
    blocks: dict[str, list[nn.Parameter]] = {block.name: [] for block in backbone.blocks}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            blocks[catalogue.block_of(backbone, name)].append(parameter)
    return {name: parameters for name, parameters in blocks.items() if parameters}


def rate_groups(model: nn.Module, backbone: Backbone) -> Parameters:
    """The parameters that learn, by the groups of `core.recipe.Rates`."""
    groups: dict[str, list[nn.Parameter]] = {"head": [], "late": [], "early": []}
    for block, parameters in by_block(model, backbone).items():
        groups[catalogue.rate_group(backbone, block)] += parameters
    return groups


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


def build_optimizer(settings: Optimizer, groups: Parameters, factors: Mapping[str, float]) -> optim.Optimizer:
    """torch's optimizer, with a parameter group for each of `groups` that has parameters.

    Each keeps its factor, for `set_rates`. Penalties are terms of the objective (`core.training.objective`).
    """
    row = ROWS[settings.name]
    parts = [
        {"params": list(parameters), "lr": settings.lr * factors[name], "factor": factors[name]}
        for name, parameters in groups.items()
        if parameters
    ]
    assert not row.full_batch or len(parts) == 1  # L-BFGS takes one group only, and trains the head alone.
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


@dataclass
class Statistics:
    """The values that a layer has seen, channel by channel: their count, mean, and summed squared deviations."""

    count: int = 0
    mean: Tensor | float = 0.0
    deviations: Tensor | float = 0.0

    def add(self, count: int, mean: Tensor, variance: Tensor) -> None:
        """Count in a batch; its `variance` is over `count` − 1 (Chan, Golub and LeVeque, 1979)."""
        total = self.count + count
        apart = mean - self.mean
        self.deviations = self.deviations + variance * (count - 1) + apart.square() * (self.count * count / total)
        self.mean = self.mean + apart * (count / total)
        self.count = total

    def after(self, layer: _BatchNorm, given: tuple[Tensor, ...], _output: Tensor) -> None:
        """Count in the batch that `layer` has just normalised; with a momentum of 1 its running statistics are it."""
        assert layer.running_mean is not None
        assert layer.running_var is not None
        exact = torch.float32 if layer.running_mean.device.type == "mps" else torch.float64
        self.add(given[0].numel() // given[0].shape[1], layer.running_mean.to(exact), layer.running_var.to(exact))


@torch.no_grad()
def estimate(layers: Iterable[_BatchNorm], batches: Iterable[Callable[[], object]]) -> Iterator[int]:
    """Set the statistics of `layers` to mean and variance over all `batches`, each of which runs the network once.

    The layers must be in training mode, all others in eval mode: every batch is then normalised by its own statistics,
    as in training. Yields the number of batches that are done; the new statistics are there after the last one, and the
    old ones again where that does not come. How many batches a layer has been trained on stays as it is.
    """
    seen = {layer: Statistics() for layer in layers}
    before = [(layer, layer.momentum, layer.num_batches_tracked, _copies(layer)) for layer in seen]
    with ExitStack() as hooks:
        try:
            for layer, statistics in seen.items():
                layer.momentum, layer.num_batches_tracked = 1.0, None
                hooks.enter_context(layer.register_forward_hook(statistics.after))
            for done, run in enumerate(batches, start=1):
                run()
                yield done
        finally:
            for layer, momentum, tracked, statistics_before in before:
                layer.momentum, layer.num_batches_tracked = momentum, tracked
                _set(layer, *statistics_before)
    for layer, statistics in seen.items():
        if statistics.count > 1:
            deviations = torch.as_tensor(statistics.deviations)
            _set(layer, torch.as_tensor(statistics.mean), deviations / (statistics.count - 1))


def _batchnorms(model: nn.Module, paths: Iterable[str]) -> tuple[_BatchNorm, ...]:
    """The layers at `paths`, which the catalogue says are BatchNorms."""
    return tuple(cast(_BatchNorm, model.get_submodule(path)) for path in paths)


def _copies(layer: _BatchNorm) -> tuple[Tensor, Tensor]:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return layer.running_mean.clone(), layer.running_var.clone()


def _set(layer: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)
