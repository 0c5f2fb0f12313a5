"""Every backbone and its blocks, as plain data that needs no torch.

`catalogue.json` is written by `python -m core.backbones.survey`, which asks the installed torchvision.
"""

import difflib
import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from core.errors import BadRecipe, Fault
from core.messages import Message

FILE = Path(__file__).with_name("catalogue.json")
BUNDLED = ("mobilenet_v2", "squeezenet1_1")
"""Backbones whose weights come with Thaw and need no network."""


@dataclass(frozen=True)
class Layer:
    """The smallest thing to freeze: a module without parts ("layer4.1.conv2") or a bare parameter ("class_token")."""

    path: str
    parameters: int
    is_batchnorm: bool = False


@dataclass(frozen=True)
class Block:
    """A named, ordered part of the network.

    `modules` are the paths it consists of, in forward order: modules with all they contain, those without parameters
    (dropout, pooling) included, and bare parameters. `layers` are its layers, in the network's own order.

    Both counts are for one picture of the size that the weights were made for: `inflow` numbers come into the block
    when all blocks before it are frozen, and the block takes `flops` floating-point operations. The head counts with
    ImageNet's 1000 classes.
    """

    name: str
    modules: tuple[str, ...]
    layers: tuple[Layer, ...]
    inflow: int
    flops: int

    @property
    def parameters(self) -> int:
        """How many numbers can be learnt in it; the head's count is that for ImageNet's 1000 classes."""
        return sum(layer.parameters for layer in self.layers)


@dataclass(frozen=True)
class Head:
    """The last layer, which is replaced for the user's classes: linear, or the 1×1 convolution of SqueezeNet."""

    path: str
    in_features: int
    bias: bool

    def parameters(self, classes: int) -> int:
        """How many numbers can be learnt in a head for `classes` classes."""
        return classes * (self.in_features + self.bias)


@dataclass(frozen=True)
class Preprocessing:
    """Resize the shorter side to `resize` pixels, crop the central square of `crop` pixels, normalise 0…1 values.

    `interpolation` is Pillow's name of the filter.
    """

    resize: int
    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str

    def at(self, image_size: int | None) -> "Preprocessing":
        """The same for squares of `image_size` pixels, with the same share cropped away; None changes nothing."""
        if image_size is None:
            return self
        return replace(self, resize=round(self.resize * image_size / self.crop), crop=image_size)


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights that torchvision publishes. `file` is its name in the cache, `size` is in bytes to three digits of a MiB.

    `accuracy` and `top5` are percentages on ImageNet-1K as torchvision measured them.
    """

    name: str
    url: str
    file: str
    size: int
    accuracy: float
    top5: float


@dataclass(frozen=True)
class Backbone:
    """One architecture. `parameters` counts the 1000-class head; `min_size` is in pixels.

    `fixed_size` is True where only images of `preprocessing.crop` pixels run.
    """

    name: str
    title: str
    family: str
    parameters: int
    preprocessing: Preprocessing
    min_size: int
    fixed_size: bool
    weights: PretrainedWeights | None
    head: Head
    blocks: tuple[Block, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer, block after block."""
        return tuple(layer for block in self.blocks for layer in block.layers)

    @property
    def first_layer(self) -> str:
        """The path of the layer that reads the pictures. If it is frozen, a frozen part exists and runs only once."""
        module = self.blocks[0].modules[0]
        return next(layer.path for layer in self.layers if module in lineage(layer.path))


@functools.cache
def _entries() -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["backbones"]
    return entries


def names() -> tuple[str, ...]:
    """Every backbone's name, family after family, small ones first."""
    return tuple(_entries())


@functools.cache
def get(name: str) -> Backbone:
    """The backbone of that name. Raises BadRecipe with the nearest name when there is none."""
    if name not in _entries():
        advice = Message('there is no such backbone; the nearest name is "{nearest}"', nearest=_nearest(name, names()))
        raise BadRecipe([Fault("backbone", name, advice)])
    entry = _entries()[name]
    shape: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in entry["preprocessing"].items()
    }
    parts = {
        "preprocessing": Preprocessing(**shape),
        "weights": entry["weights"] and PretrainedWeights(**entry["weights"]),
        "head": Head(**entry["head"]),
        "blocks": tuple(
            Block(block, tuple(modules), tuple(_layers(layers, batchnorms)), inflow, flops)
            for block, modules, layers, batchnorms, inflow, flops in entry["blocks"]
        ),
    }
    return Backbone(name=name, **(entry | parts))


def _layers(parameters: Mapping[str, int], batchnorms: Sequence[int]) -> Iterator[Layer]:
    """A block's layers, of which those in the places `batchnorms` are BatchNorms."""
    return (Layer(path, count, place in batchnorms) for place, (path, count) in enumerate(parameters.items()))


def _nearest(name: str, known: Iterable[str]) -> str:
    spelled = {candidate.lower(): candidate for candidate in known}
    return spelled[difflib.get_close_matches(name.lower(), spelled, n=1, cutoff=0.0)[0]]


def lineage(path: str) -> Iterator[str]:
    """The path itself and what contains it, from the outside in: for "a.b.c" these are "a", "a.b" and "a.b.c"."""
    parts = path.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))


@functools.cache
def _choices(backbone: str) -> dict[str, frozenset[str]]:
    """The layers for each name that `trainable` may hold: block names, and paths of modules, containers first."""
    found: dict[str, set[str]] = {}
    for layer in get(backbone).layers:
        for path in lineage(layer.path):
            found.setdefault(path, set()).add(layer.path)
    found |= {block.name: {layer.path for layer in block.layers} for block in get(backbone).blocks}
    return {name: frozenset(layers) for name, layers in found.items()}


def select(backbone: Backbone, trainable: Literal["all"] | Sequence[str]) -> frozenset[str]:
    """The paths of the layers that `trainable` chooses by block names ("layer4") and module paths ("layer4.1.conv2").

    Raises BadRecipe with a fault for each unknown name, or when nothing is chosen.
    """
    choices = _choices(backbone.name)
    wanted = [block.name for block in backbone.blocks] if trainable == "all" else trainable
    if not wanted:
        advice = Message('chooses nothing to train; choose at least one block, such as ["head"]')
        raise BadRecipe([Fault("trainable", trainable, advice)])
    unknown = [name for name in wanted if name not in choices]
    if unknown:
        raise BadRecipe([_unknown_layer(backbone, name, choices) for name in unknown])
    return frozenset().union(*(choices[name] for name in wanted))


def _unknown_layer(backbone: Backbone, name: str, choices: Iterable[str]) -> Fault:
    """Proposes a name of the same depth where there is one: for "layer5" rather "layer4" than "layer3.5"."""
    known = [choice for choice in choices if choice.count(".") == name.count(".")] or choices
    template = 'there is no such block or layer in {backbone}; the nearest name is "{nearest}"'
    return Fault("trainable", name, Message(template, backbone=backbone.name, nearest=_nearest(name, known)))


def names_of(backbone: Backbone, layers: frozenset[str]) -> tuple[str, ...]:
    """The fewest names, in the network's order, for which `select` gives `layers`: whole blocks, modules, layers."""
    choices = _choices(backbone.name)
    chosen: list[str] = []
    for block in backbone.blocks:
        for layer in block.layers:
            if layer.path in layers:
                chosen.append(next(name for name in (block.name, *lineage(layer.path)) if choices[name] <= layers))
    return tuple(dict.fromkeys(chosen))


def block_of(backbone: Backbone, parameter: str) -> str:
    """The name of the block that a parameter lies in, by its path ("layer4.1.conv2.weight")."""
    owners = (parameter, parameter.rpartition(".")[0])
    return next(block.name for block in backbone.blocks if any(layer.path in owners for layer in block.layers))


def rate_group(backbone: Backbone, block: str) -> Literal["head", "late", "early"]:
    """Which of the recipe's learning rates a block has: of those before the head, the later half is "late"."""
    body = [one.name for one in backbone.blocks[:-1]]
    if block not in body:
        return "head"
    return "late" if body.index(block) >= len(body) // 2 else "early"


def parameter_counts(backbone: Backbone, layers: frozenset[str], classes: int) -> tuple[int, int]:
    """How many parameters are trainable and how many frozen, with a head for `classes` classes."""
    counts = {layer.path: layer.parameters for layer in backbone.layers}
    counts[backbone.head.path] = backbone.head.parameters(classes)
    trainable = sum(counts[path] for path in layers)
    return trainable, sum(counts.values()) - trainable
