"""Everything that decides a run, as one frozen value: TOML on disk, JSON in the store.

`Recipe` holds the rules of single fields and of fields that belong together. Whether the backbone, its blocks and the
image folder exist is a question about the world, and `core.training.plan` answers it.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from core.optimizers import Adam, ChosenOptimizer, ChosenSchedule, Constant
from core.recipe_fields import (
    About,
    Choice,
    Count,
    Frozen,
    Number,
    OneOf,
)


@dataclass(frozen=True)
class Seeds:
    """What draws the split; the new head, random weights and dropout; the order of pictures and their variations."""

    split: int
    init: int
    order: int


class Penalties(Frozen):
    """Factors of the terms l1·Σ|w| and l2·Σw² over the trainable weights."""

    l1: Annotated[
        Number,
        Field(ge=0),
        About("L1 penalty", "Factor of the sum of absolute weights: pushes weights to exactly zero.", step=1e-4),
    ] = 0.0
    l2: Annotated[
        Number,
        Field(ge=0),
        About(
            "L2 penalty",
            "Factor of the sum of squared weights: keeps all weights small. A paper's weight decay w is l2 = w/2 here, "
            "for SGD; AdamW's is another thing.",
            step=1e-4,
        ),
    ] = 0.0


class Rates(Frozen):
    """Factors on the optimizer's learning rate, for three groups of blocks (`core.backbones.catalogue.rate_group`)."""

    head: Annotated[
        Number,
        Field(ge=0),
        About("Rate of the head", "Factor on the learning rate for the new last layer.", step=0.1, advanced=True),
    ] = 1.0
    late: Annotated[
        Number,
        Field(ge=0),
        About(
            "Rate of late blocks",
            "Factor for the later half of the other blocks. 0 moves no weight, but is not frozen: BatchNorm learns.",
            step=0.1,
            advanced=True,
        ),
    ] = 1.0
    early: Annotated[
        Number,
        Field(ge=0),
        About("Rate of early blocks", "Factor for the earlier half of the other blocks.", step=0.1, advanced=True),
    ] = 1.0


WEIGHTS = {"pretrained": Choice("Pretrained weights"), "random": Choice("Random")}
OWN_WEIGHTS = r"^run:[1-9]\d{0,9}$|[./\\]"
"""Weights of one's own: those that a run has kept, or a file, whose path has a dot or a slash."""
KEEPS = {"best": Choice("The best epoch"), "last": Choice("The last epoch")}
CLASS_WEIGHTS = {
    "none": Choice("Equal pictures"),
    "balanced": Choice("Equal classes", "Equal classes makes a picture of a small class count for more."),
}
BATCHNORMS = {
    "learn": Choice("Learn", "Learn measures them anew over all training pictures before each validation."),
    "lagging": Choice("Running means", "Running means lag behind weights that move fast."),
    "keep": Choice("Keep", "Keep leaves those that the weights came with."),
}
DEVICES = {
    "auto": Choice("Automatic"),
    "cpu": Choice("CPU"),
    "cuda": Choice("NVIDIA GPU"),
    "mps": Choice("Apple GPU"),
}
PRECISIONS = {"auto": Choice("Automatic"), "fp32": Choice("32 bits"), "bf16": Choice("bfloat16")}
AUGMENTATIONS = {
    "none": Choice("None"),
    "flip": Choice("Flip", "Flip mirrors them at random."),
    "standard": Choice("Standard", "Standard takes random crops, mirrors them, and varies colours a little."),
}
"""The ways to vary training pictures; `core.data.tensors` has a row for each, which says how."""


OneSeed = Field(ge=0, le=2**53 - 1)
_SEED: dict[str, Any] = {
    "advanced": True,
    "expected": "must be a whole number from 0 to 9,007,199,254,740,991, or be left out for the seed of all",
    "example": 0,
}


class Recipe(Frozen):
    """Everything that decides a run; with repeats or folds, a family of runs (`core.jobs.family`)."""

    version: Annotated[
        Literal[2],
        About("Version", "Of the recipe's own form.", expected="must be 2, or 1 for the form before it"),
    ] = 2
    data: Annotated[
        str,
        Field(min_length=1),
        About(
            "Pictures",
            "What the network learns from: a sample, or pictures of your own, which the Data page takes in.",
            expected="must be the path of a folder that holds one folder of pictures per class",
            example="sample_data/stamps",
        ),
    ]
    val_fraction: Annotated[
        Number,
        Field(gt=0, lt=1),
        About(
            "Held out for validation",
            "Share of each class that the network never trains on, so that one sees how it does on new pictures.",
            step=0.05,
        ),
    ] = 0.25
    test_fraction: Annotated[
        Number,
        Field(ge=0, lt=1),
        About(
            "Held out for a test",
            "Share of each class that is looked at once, by the kept model, when training has ended.",
            step=0.05,
            advanced=True,
        ),
    ] = 0.0
    backbone: Annotated[
        str,
        About(
            "Backbone",
            "A network that has already learnt to see, on 1.3 million photos. Type to search.",
            expected="must be the name of a backbone; `python -m core backbones` lists them",
        ),
    ] = "mobilenet_v2"
    weights: Annotated[
        str,
        OneOf(WEIGHTS, pattern=OWN_WEIGHTS),
        About(
            "Start from",
            "Pretrained weights have learnt to see already; random ones have to learn everything from your pictures. "
            'Also a run of your own ("run:12"), or a file of weights for the same backbone, whatever its head.',
            expected='must be "pretrained", "random", a run such as "run:12", or the path of a file',
        ),
    ] = "pretrained"
    trainable: Annotated[
        Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1)],
        About(
            "Blocks",
            'What learns: blocks, layers inside them ("layer4.1.conv2"), or "all".',
            expected='must be "all" or a list of at least one block or layer, such as ["head"]',
        ),
    ] = ("head",)
    image_size: Annotated[
        Count | None,
        Field(ge=10, le=1024),
        About(
            "Image size",
            "Side of the square that the network sees, in pixels; smaller is faster. Empty: the weights' own.",
            unit="pixels",
            example=224,
        ),
    ] = None
    epochs: Annotated[Count, Field(ge=1, le=10_000), About("Epochs", "How often all training pictures are seen.")] = 10
    batch_size: Annotated[Count, Field(ge=1, le=4096), About("Batch size", "Pictures per step.")] = 32
    keep: Annotated[
        str,
        OneOf(KEEPS),
        About("Weights to keep", "The best epoch has the lowest cross-entropy in validation.", advanced=True),
    ] = "best"
    patience: Annotated[
        Count,
        Field(ge=0, le=10_000),
        About("Patience", "Epochs without a better one, after which training ends; 0 never ends it.", advanced=True),
    ] = 0
    head_first: Annotated[
        Count,
        Field(ge=0, le=10_000),
        About("Head first", "Epochs in which the head learns alone, before the other blocks join.", advanced=True),
    ] = 0
    batchnorm: Annotated[
        str,
        OneOf(BATCHNORMS),
        About("BatchNorm statistics", "Of trainable blocks; frozen ones never change.", advanced=True),
    ] = "learn"
    class_weights: Annotated[
        str, OneOf(CLASS_WEIGHTS), About("What counts", "In the loss of training and validation.", advanced=True)
    ] = "none"
    label_smoothing: Annotated[
        Number,
        Field(ge=0, lt=1),
        About("Label smoothing", "Share of each label that is spread over all classes.", step=0.05, advanced=True),
    ] = 0.0
    seed: Annotated[Count, Field(ge=0, le=2**53 - 1), About("Seed", "The same seed gives the same run.")] = 0
    split_seed: Annotated[
        Count | None, OneSeed, About("Seed of the split", "Draws which pictures are held out.", **_SEED)
    ] = None
    init_seed: Annotated[
        Count | None, OneSeed, About("Seed of the weights", "Draws the new head, random weights, and dropout.", **_SEED)
    ] = None
    order_seed: Annotated[
        Count | None, OneSeed, About("Seed of the order", "Draws the order of pictures and their variations.", **_SEED)
    ] = None
    repeats: Annotated[
        Count,
        Field(ge=1, le=100),
        About("Repeats", "Runs over the same split, each with other seeds of weights and order.", advanced=True),
    ] = 1
    folds: Annotated[
        Count,
        Field(ge=1, le=100),
        About("Folds", "Runs that each hold out another part; 1 draws one part.", advanced=True),
    ] = 1
    fold: Annotated[
        Count | None,
        Field(ge=1, le=100),
        About(
            "Fold",
            "Which of the folds this run holds out. Empty: one run for each.",
            advanced=True,
            expected="must be a whole number from 1 up to the number of folds, or be left out for one run for each",
            example=1,
        ),
    ] = None
    device: Annotated[
        str, OneOf(DEVICES), About("Device", "What computes. Automatic takes a GPU where there is one.", advanced=True)
    ] = "auto"
    precision: Annotated[
        str,
        OneOf(PRECISIONS),
        About(
            "Precision",
            "How exact numbers are. bfloat16 is faster where the hardware has it; automatic finds out.",
            advanced=True,
        ),
    ] = "auto"
    augment: Annotated[
        str,
        OneOf(AUGMENTATIONS),
        About("Variation", "Vary training pictures, so that there seem to be more."),
    ] = "none"
    views: Annotated[
        Count, Field(ge=0, le=64), About("Variations kept", "Of each picture; 0 makes new ones every epoch.")
    ] = 8
    optimizer: ChosenOptimizer = Adam()
    schedule: ChosenSchedule = Constant()
    rates: Rates = Rates()
    penalties: Penalties = Penalties()

    @property
    def seeds(self) -> Seeds:
        """Those that are used: its own, or the seed of all."""
        own = {"split": self.split_seed, "init": self.init_seed, "order": self.order_seed}
        return Seeds(**{name: self.seed if value is None else value for name, value in own.items()})
