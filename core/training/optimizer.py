"""From the recipe's optimizer to torch's. A new optimizer is a new class in `core.recipe` and a new case here."""

from collections.abc import Iterable

from torch import nn, optim

from core.recipe import Adam, Sgd


def build_optimizer(settings: Adam | Sgd, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """torch's optimizer without weight decay: penalties are terms of the objective (`core.training.objective`).

    "Fused" is one pass over all numbers, where the default makes one for every operation of the formula.
    """
    match settings:
        case Adam():
            return optim.Adam(parameters, lr=settings.lr, betas=settings.betas, eps=settings.eps, fused=True)
        case Sgd():
            return optim.SGD(
                parameters, lr=settings.lr, momentum=settings.momentum, nesterov=settings.nesterov, fused=True
            )
