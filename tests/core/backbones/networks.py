"""Networks for tests: torchvision's own initialisations take seconds for each, so these have other weights or none."""

from collections.abc import Iterable
from functools import cache
from itertools import groupby

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.backbones import catalogue, survey
from core.backbones.build import build, parameters_on_meta

ONE_PER_FAMILY = [next(group) for _, group in groupby(catalogue.names(), key=lambda name: catalogue.get(name).family)]
"""The smallest of each: names come family after family, small ones first."""
EVERY = [name if name in ONE_PER_FAMILY else pytest.param(name, marks=pytest.mark.slow) for name in catalogue.names()]
"""Every network, as a parameter; those are slow that are not the first of their family."""


@cache
def on_meta(name: str) -> nn.Module:
    """torchvision's network in eval mode, without memory. Shared: not to be changed."""
    return survey.network(name).eval()


def batchnorms(modules: Iterable[nn.Module]) -> tuple[_BatchNorm, ...]:
    """Those of `modules` that are BatchNorm layers with statistics."""
    return tuple(module for module in modules if isinstance(module, _BatchNorm) and module.running_mean is not None)


def quickly_built(name: str, classes: int, seed: int = 0) -> nn.Module:
    """The network with a new head; its other weights are random numbers that let signals and gradients through."""
    torch.manual_seed(seed)
    backbone = catalogue.get(name)
    with parameters_on_meta():
        model = build(backbone, classes, "random")
    weights = {
        path: torch.rand(parameter.shape) - 0.5 if parameter.ndim == 1 else _balanced(parameter.shape)
        for path, parameter in model.named_parameters()
    }
    state = model.state_dict()  # With the version number that MNASNet asks for.
    state.update(weights)
    model.load_state_dict(state, assign=True)
    return model


def _balanced(shape: torch.Size) -> torch.Tensor:
    """Numbers whose sum of squares over what enters an output is about 1."""
    return (torch.rand(shape) - 0.5).mul_((12 / shape[1:].numel()) ** 0.5)


def side(name: str) -> int:
    """Pixels of an image that the network takes, small where it may be."""
    backbone = catalogue.get(name)
    return max(backbone.min_size, 64)
