"""What training makes small: cross-entropy + l1·Σ|w| + l2·Σw², each term apart.

The penalties are terms of the loss, not the optimizer's weight decay: with Adam the two differ (arXiv:1711.05101), and
only a term can be drawn as a curve. L1 has a step of its own (`core.training.learning.shrink`); its term is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.events import METRICS, Measure, Metrics
from core.figures import Confusion, confusion_of, merged
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

    @property
    def smooth(self) -> Tensor:
        """The part of which gradients are taken: without L1, whose derivative jumps at 0."""
        return self.cross_entropy + self.l2


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


def balanced_weights(labels: Sequence[int], classes: int) -> Tensor:
    """A factor for each class that makes all classes count alike: images / (classes · images of the class).

    Its mean over the images is 1, where every class has some; a class without images has the factor 0. Source:
    scikit-learn's class_weight="balanced" (King and Zeng, Logistic Regression in Rare Events Data, 2001).
    """
    counts = torch.bincount(torch.tensor(labels), minlength=classes).float()
    return torch.where(counts > 0, len(labels) / (classes * counts), 0.0)


@dataclass(frozen=True)
class Objective:
    """What a batch is measured by. `class_weights` (classes) are factors; `label_smoothing` is in 0…1."""

    penalised: Sequence[nn.Parameter]
    penalties: Penalties
    class_weights: Tensor | None = None
    label_smoothing: float = 0.0


def terms(logits: Tensor, labels: Tensor, objective: Objective) -> Terms:
    """The objective for `logits` (B, classes) and `labels` (B); a penalty of factor 0 costs nothing.

    The cross-entropy is a plain mean of each picture's own, weighted by its class: not torch's weighted mean, which
    would make a picture's share depend on the others in its batch.
    """
    zero = logits.new_zeros(())
    weights, penalties = objective.penalised, objective.penalties
    each = functional.cross_entropy(
        logits, labels, objective.class_weights, reduction="none", label_smoothing=objective.label_smoothing
    )
    return Terms(
        cross_entropy=each.mean(),
        l1=penalties.l1 * sum((w.abs().sum() for w in weights), zero) if penalties.l1 else zero,
        l2=penalties.l2 * sum((w.square().sum() for w in weights), zero) if penalties.l2 else zero,
    )


def means() -> dict[str, Measure]:
    """The METRICS that are means over images."""
    return {name: metric.measure for name, metric in METRICS.items() if metric.measure}


@dataclass(frozen=True)
class Measured:
    """The METRICS of one batch that are means over it, and its answers, not yet read back from the device."""

    numbers: Tensor

    def read(self) -> tuple[Metrics, Confusion]:
        """As plain values. On a GPU this waits for all that was computed before."""
        numbers = self.numbers.tolist()
        names = list(means())
        answers = list(map(int, numbers[len(names) :]))
        images = len(answers) // 2
        values = dict(zip(names, numbers[: len(names)], strict=True))
        metrics = {name: v / images if METRICS[name].of_each_image else v for name, v in values.items()}
        return Metrics.parse(metrics), confusion_of(zip(answers[images:], answers[:images], strict=True))


def measure(batch: Terms, logits: Tensor, labels: Tensor) -> Measured:
    """Measure one batch: `logits` (B, classes) and `labels` (B) on the device."""
    values = [measured(batch, logits, labels).sum().to(logits.dtype) for measured in means().values()]
    # One transfer for all of them: on a GPU, each is a wait for everything before it.
    return Measured(torch.cat([torch.stack(values), logits.argmax(1), labels]))


@dataclass
class Tally:
    """Sums of metrics over images, by name, so that a short last batch weighs by its images, and all answers.

    A run that goes on with a metric that is new since has no sum of it for the epoch under way. Where not all answers
    were counted, what is made of them is left out.
    """

    images: int = 0
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(means(), 0.0))
    answers: Confusion = ()

    def add(self, metrics: Metrics, answers: Confusion) -> None:
        """Count in a batch."""
        images = sum(count for _, _, count in answers)
        values = metrics.by_name()
        self.images += images
        self.sums = {name: total + values[name] * images for name, total in self.sums.items()}
        self.answers = merged(self.answers, answers)

    def mean(self) -> Metrics:
        """Over all images counted in so far; at least one batch must have been."""
        values = {name: total / self.images for name, total in self.sums.items()}
        if sum(count for _, _, count in self.answers) == self.images:
            values |= {name: metric.of_counts(self.answers) for name, metric in METRICS.items() if metric.of_counts}
        return Metrics.parse(values)
