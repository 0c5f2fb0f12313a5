"""What training makes small: cross-entropy + l1·Σ|w| + l2·Σw², each term apart.

The penalties are terms of the loss, not the optimizer's weight decay: with Adam the two differ (arXiv:1711.05101), and
only a term can be drawn as a curve.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.events import METRICS, Metrics
from core.recipe import Penalties


@dataclass(frozen=True)
class Terms:
    """The objective of one batch: scalars, `cross_entropy` the mean over its images."""

    cross_entropy: Tensor
    l1: Tensor
    l2: Tensor

    @property
    def loss(self) -> Tensor:
        """What is minimised."""
        return self.cross_entropy + self.l1 + self.l2


def penalised(model: nn.Module) -> list[nn.Parameter]:
    """The trainable weights that penalties apply to: no biases, no normalisation, no embeddings of position.

    By name and by dimension: weights are called "weight" or "in_proj_weight" (attention) and, unlike the scales of
    normalisation layers, have at least two dimensions.
    """
    return [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.ndim >= 2 and name.endswith("weight")
    ]


def terms(logits: Tensor, labels: Tensor, weights: Sequence[Tensor], penalties: Penalties) -> Terms:
    """The objective for `logits` (B, classes) and `labels` (B); a penalty of factor 0 costs nothing."""
    zero = logits.new_zeros(())
    return Terms(
        cross_entropy=functional.cross_entropy(logits, labels),
        l1=penalties.l1 * sum((w.abs().sum() for w in weights), zero) if penalties.l1 else zero,
        l2=penalties.l2 * sum((w.square().sum() for w in weights), zero) if penalties.l2 else zero,
    )


def measure(batch: Terms, logits: Tensor, labels: Tensor) -> Metrics:
    """All METRICS of one batch as numbers."""
    measured = {name: metric.measure(batch, logits, labels) for name, metric in METRICS.items()}
    # One transfer for all of them: on a GPU, each is a wait for everything before it.
    numbers = torch.stack([value.sum().to(logits.dtype) for value in measured.values()]).tolist()
    values = dict(zip(measured, numbers, strict=True))
    return Metrics.parse({n: v / len(labels) if METRICS[n].of_each_image else v for n, v in values.items()})


@dataclass
class Tally:
    """Sums of metrics over images, by name, so that a short last batch weighs by its images.

    A run that goes on with a metric that is new since has no sum of it for the epoch under way.
    """

    images: int = 0
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(METRICS, 0.0))

    def add(self, batch: Metrics, images: int) -> None:
        """Count in a batch of so many images."""
        self.images += images
        values = batch.by_name()
        self.sums = {name: total + values[name] * images for name, total in self.sums.items()}

    def mean(self) -> Metrics:
        """Means over all images counted in so far; at least one batch must have been."""
        return Metrics.parse({name: total / self.images for name, total in self.sums.items()})
