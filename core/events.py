"""What a job says while it works: plain values, in the order in which things happen.

`train(recipe)` yields them and does nothing else. A test collects them in a list, the command line draws a progress
bar from them, a worker process writes them to the store, and the dashboard reads them from there.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import GetCoreSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema, core_schema

from core.figures import Confusion, Score, balanced_accuracy
from core.messages import Message


class StopRequested(Exception):
    """Thrown *into* a job's generator (`events.throw(StopRequested())`) to end it at the event it is about to give out.

    Not an error and so not in the tree of `core.errors`: the job answers with its closing events.
    """


@dataclass(frozen=True)
class Metrics:
    """Means over the images seen, not over batches. `loss` = `cross_entropy` + `l1` + `l2`; `accuracy` in 0…1.

    `others` are further metrics by name (`core.events`). One that was not measured then is not in it.
    """

    loss: float
    cross_entropy: float
    l1: float
    l2: float
    accuracy: float
    others: Mapping[str, float] = field(default_factory=dict)

    def by_name(self) -> dict[str, float]:
        """All metrics by their names, in one mapping, as JSON has them."""
        return {name: getattr(self, name) for name in _FIXED} | dict(self.others)

    @classmethod
    def parse(cls, values: object) -> "Metrics":
        """What `by_name` gave. Raises ValueError where one of the five is missing, or is no number."""
        if isinstance(values, Metrics):
            return values
        if not isinstance(values, Mapping) or not values.keys() >= set(_FIXED):
            raise ValueError("metrics")
        numbers = {str(name): float(value) for name, value in values.items()}
        fixed = {name: numbers.pop(name) for name in _FIXED}
        return cls(**fixed, others=numbers)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """So that pydantic reads and writes metrics that are parts of events."""
        write = core_schema.plain_serializer_function_ser_schema(cls.by_name)
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=write)


_FIXED = tuple(one.name for one in dataclasses.fields(Metrics) if one.name != "others")


@dataclass(frozen=True)
class Notice:
    """Something was done differently from what was asked, or deserves attention; `text` is for the person."""

    text: Message


@dataclass(frozen=True)
class Progress:
    """Preparation that takes a while: `done` of `total` units of `stage` ("Downloading resnet50…", bytes)."""

    stage: Message
    done: int
    total: int


@dataclass(frozen=True)
class FeaturesReady:
    """The frozen part has been run, once, over `images` images: `numbers` are kept of each.

    `seconds` is what computing them took, now or in the earlier run they are `reused` from.
    """

    images: int
    numbers: int
    seconds: float
    reused: bool


@dataclass(frozen=True)
class RunStarted:
    """Everything is loaded and the next step can come. Counts are images, parameters and optimizer steps.

    A run that goes on where it was interrupted says so again, with the epochs and steps that are done.

    `device` and `precision` are what "auto" came to: "fp32", "bf16", or "tf32" for 32-bit numbers of which a GPU
    multiplies the first bits only. The frozen part may have run in another precision.
    """

    classes: tuple[str, ...]
    train_images: int
    val_images: int
    trainable_parameters: int
    frozen_parameters: int
    epochs: int
    steps_per_epoch: int
    device: str
    precision: str
    epochs_done: int = 0
    steps_done: int = 0


@dataclass(frozen=True)
class StepEnded:
    """One optimizer step: the metrics of its batch before the step, `step` counted from 1 over the whole run."""

    step: int
    epoch: int
    lr: float
    metrics: Metrics


@dataclass(frozen=True)
class EpochEnded:
    """One pass over the training images, then one over the validation images.

    `train` is a running mean: measured on the way, while the weights still change. `val` is None where there are no
    validation images; `confusion` counts the answers to them. `seconds` covers both passes, `images_per_second` the
    training pass alone.

    `moved` says for each block that learns how far its weights are from where they began: ‖w − w₀‖ / ‖w₀‖. `zeros` is
    the share of the head's weights that are exactly 0; None where the head is frozen. `kept` is true where these
    weights are the ones to keep so far.
    """

    epoch: int
    train: Metrics
    val: Metrics | None
    seconds: float
    images_per_second: float
    confusion: Confusion = ()
    moved: Mapping[str, float] = field(default_factory=dict)
    zeros: float | None = None
    kept: bool = False


@dataclass(frozen=True)
class KeptTested:
    """The kept weights, those after `epoch`, have been tried on the test images, which nothing was chosen by."""

    epoch: int
    metrics: Metrics
    confusion: Confusion


@dataclass(frozen=True)
class Checkpointing:
    """The state after `steps` steps of `epoch` is about to be put on the disk, from where the run can go on.

    The caller must have written down all events so far before it asks for the next one.
    """

    epoch: int
    steps: int


@dataclass(frozen=True)
class ArtifactSaved:
    """The weights to keep were written: those as they were after `epoch` (0: before the first epoch ended)."""

    path: str
    epoch: int


@dataclass(frozen=True)
class RunFinished:
    """The last event of a run that ended by itself. `kept_epoch` is the one whose weights were kept.

    `val` counts its answers to the validation images, None where there are no such images.
    """

    kept_epoch: int
    val: Score | None
    seconds: float


@dataclass(frozen=True)
class RunStopped:
    """The last event of a run that somebody stopped. `kept_epoch` is 0 when no epoch had ended."""

    kept_epoch: int
    val: Score | None
    seconds: float


Event = (
    Notice
    | Progress
    | FeaturesReady
    | RunStarted
    | StepEnded
    | EpochEnded
    | KeptTested
    | Checkpointing
    | ArtifactSaved
    | RunFinished
    | RunStopped
)


def name(event: Event | type[Event]) -> str:
    """The name in JSON of an event or of a kind of event: "epoch_ended" for EpochEnded."""
    kind = event if isinstance(event, type) else type(event)
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


_KINDS: dict[str, TypeAdapter[Event]] = {name(kind): TypeAdapter(kind) for kind in Event.__args__}


def to_dict(event: Event) -> dict[str, Any]:
    """The event as plain JSON values, without its name."""
    values: dict[str, Any] = _KINDS[name(event)].dump_python(event, mode="json")
    return values


def from_dict(kind: str, values: Mapping[str, Any]) -> Event:
    """The event called `kind` ("epoch_ended") from what `to_dict` gave, also after JSON."""
    return _KINDS[kind].validate_python(_of_today(kind, values))


def _of_today(kind: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was stored before November 2026: the kept epoch had another name, and no counts."""
    if kind not in ("run_finished", "run_stopped") or "best_epoch" not in values:
        return values
    return {"kept_epoch": values["best_epoch"], "val": None, "seconds": values["seconds"]}


def measures(event: Event) -> tuple[int, dict[str, float]]:
    """The step or epoch, and values such as "step/loss" or "val/accuracy"; nothing for events that measure nothing."""
    match event:
        case StepEnded():
            return event.step, {f"step/{name}": value for name, value in event.metrics.by_name().items()}
        case EpochEnded():
            passes = {"train": event.train} | ({"val": event.val} if event.val else {})
            return event.epoch, {
                f"{part}/{name}": value for part, metrics in passes.items() for name, value in metrics.by_name().items()
            }
        case _:
            return 0, {}


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


Measure = Callable[[Terms, "Tensor", "Tensor"], "Tensor"]
"""From the objective, logits (B, classes) and labels (B) of a batch to a scalar, or to a value for each image (B)."""


@dataclass(frozen=True)
class Metric:
    """What is measured. `title` is what people call it, `format` how its numbers are written (Python's and plotly's).

    Most are means over the images: `measure(terms, logits, labels)` measures one batch, with `logits` (B, classes) and
    `labels` (B) on the device. It gives a value for each image (B), of which the mean is taken, where `of_each_image`;
    otherwise a scalar, the mean over the batch. Others are made `of_counts`: of a whole pass's answers.
    """

    title: str
    format: str
    measure: "Measure | None" = None
    of_each_image: bool = False
    of_counts: Callable[[Confusion], float] | None = None


METRICS: dict[str, Metric] = {
    "loss": Metric("loss", ".4f", lambda terms, _logits, _labels: terms.loss),
    "cross_entropy": Metric("cross-entropy", ".4f", lambda terms, _logits, _labels: terms.cross_entropy),
    "l1": Metric("L1", ".4f", lambda terms, _logits, _labels: terms.l1),
    "l2": Metric("L2", ".4f", lambda terms, _logits, _labels: terms.l2),
    "accuracy": Metric(
        "accuracy", ".1%", lambda _terms, logits, labels: logits.argmax(1) == labels, of_each_image=True
    ),
    "balanced_accuracy": Metric("balanced accuracy", ".1%", of_counts=balanced_accuracy),
}
"""By name. The first five are kept of every step too (`core.events.Metrics`); more of them are kept of epochs only."""


def heading(name: str) -> str:
    """A metric's title as a heading: "Loss"."""
    title = METRICS[name].title
    return title[0].upper() + title[1:]
