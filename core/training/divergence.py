"""When the loss stops being a number: notice it at that step, and keep the weights from before."""

import math

from torch import nn

from core.errors import Diverged
from core.recipe import Recipe


def demand_finite(loss: float, recipe: Recipe, where: str) -> None:
    """Raises Diverged, with advice, unless `loss` is a number below infinity."""
    if math.isfinite(loss):
        return
    lr = recipe.optimizer.lr
    advice = f"Lower the learning rate from {lr:g} to {lr / 10:g}"
    if recipe.penalties.l1 or recipe.penalties.l2:
        advice += ", or the penalties"
    raise Diverged(f"Training diverged: the loss was {loss} at {where}. {advice}, and train again.")


class LastFinite:
    """A copy of all that training changes, from when the loss was last known to be finite."""

    def __init__(self, model: nn.Module) -> None:
        trainable = (parameter.data for parameter in model.parameters() if parameter.requires_grad)
        self._live = [*trainable, *model.buffers()]
        self._copies = [tensor.clone() for tensor in self._live]

    def remember(self) -> None:
        """Copy the tensors as they are now."""
        for copy, live in zip(self._copies, self._live, strict=True):
            copy.copy_(live)

    def restore(self) -> None:
        """Put the copied values back into the model."""
        for copy, live in zip(self._copies, self._live, strict=True):
            live.copy_(copy)
