"""When the loss stops being a number: notice it at that step, with advice."""

import math

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
