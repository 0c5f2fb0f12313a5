"""What is measured of every pass over the images: a row for each metric, and nothing else has to be said of it.

No torch is imported here, since the dashboard reads titles and formats from the same rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Terms(Protocol):
    """The objective of one batch (`core.training.objective.Terms`), as scalars."""

    @property
    def loss(self) -> "Tensor":
        """The sum of the others."""

    @property
    def cross_entropy(self) -> "Tensor":
        """The mean over the images."""

    @property
    def l1(self) -> "Tensor":
        """The penalty l1·Σ|w|."""

    @property
    def l2(self) -> "Tensor":
        """The penalty l2·Σw²."""


@dataclass(frozen=True)
class Metric:
    """`measure(terms, logits, labels)` measures one batch: `logits` (B, classes), `labels` (B), on the device.

    It gives a value for each image (B), of which the mean is taken, where `of_each_image`; otherwise a scalar, the
    mean over the batch. Over an epoch, a metric is the mean over its images. `title` is what people call it, `format`
    how its numbers are written (Python's and plotly's format).
    """

    title: str
    format: str
    measure: "Callable[[Terms, Tensor, Tensor], Tensor]"
    of_each_image: bool = False


METRICS: dict[str, Metric] = {
    "loss": Metric("loss", ".4f", lambda terms, _logits, _labels: terms.loss),
    "cross_entropy": Metric("cross-entropy", ".4f", lambda terms, _logits, _labels: terms.cross_entropy),
    "l1": Metric("L1", ".4f", lambda terms, _logits, _labels: terms.l1),
    "l2": Metric("L2", ".4f", lambda terms, _logits, _labels: terms.l2),
    "accuracy": Metric(
        "accuracy", ".1%", lambda _terms, logits, labels: logits.argmax(1) == labels, of_each_image=True
    ),
}
"""By name. The first five are kept of every step too (`core.events.Metrics`); more of them are kept of epochs only."""


def heading(name: str) -> str:
    """A metric's title as a heading: "Loss"."""
    title = METRICS[name].title
    return title[0].upper() + title[1:]
