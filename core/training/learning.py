"""What learns in a network, block by block, and how far it has moved."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.backbones import catalogue
from core.backbones.build import switch, train_mode
from core.backbones.catalogue import Backbone
from core.recipe import Recipe
from core.training.optimizer import ROWS
from core.training.plan import measured_batchnorms

Parameters = Mapping[str, Sequence[nn.Parameter]]
"""Parameters that learn, by the name of a block or of a group."""


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


def _batchnorms(model: nn.Module, paths: Iterable[str]) -> tuple[_BatchNorm, ...]:
    """The layers at `paths`, which the catalogue says are BatchNorms."""
    return tuple(cast(_BatchNorm, model.get_submodule(path)) for path in paths)


class Start:
    """The weights that a run began with, of the blocks that learn."""

    def __init__(self, blocks: Parameters, head: str) -> None:
        self._head = [parameter for parameter in blocks.get(head, ()) if parameter.ndim >= 2]
        self._blocks = {
            name: [(parameter, parameter.detach().clone()) for parameter in parameters]
            for name, parameters in blocks.items()
        }

    @torch.no_grad()
    def moved(self) -> dict[str, float]:
        """How far each block is from there: ‖w − w₀‖ / ‖w₀‖ over all its parameters."""
        apart = [_length([now - then for now, then in pairs]) for pairs in self._blocks.values()]
        began = [_length([then for _, then in pairs]) for pairs in self._blocks.values()]
        shares = (torch.stack(apart) / torch.stack(began)).tolist()
        return {name: share for name, share in zip(self._blocks, shares, strict=True) if share == share}

    @torch.no_grad()
    def zeros(self) -> float | None:
        """The share of the head's weights that are exactly 0, 0…1; None where the head is frozen."""
        if not self._head:
            return None
        nothing = torch.stack([(weight == 0).sum() for weight in self._head]).sum()
        return float(nothing) / sum(weight.numel() for weight in self._head)


def _length(tensors: Sequence[Tensor]) -> Tensor:
    length: Tensor = torch.stack([tensor.norm() for tensor in tensors]).norm()
    return length
