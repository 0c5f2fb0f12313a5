"""Where the network's inputs come from: pictures for all of it, or features for what follows its frozen part."""

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import psutil
import torch
from torch import Tensor, nn

from core.backbones import catalogue
from core.backbones.catalogue import Preprocessing
from core.backbones.cut import cut
from core.data.picture_info import file_hash, memo_file
from core.data.scan import Example
from core.data.split import Split
from core.data.tensors import AUGMENTATIONS, Batch, Normalise, Variants, kept_in_memory, plain_square, read_ahead
from core.errors import FeaturesUnavailable
from core.events import Event, Notice
from core.messages import Message
from core.recipe import Recipe
from core.training.device import Precision
from core.training.features import FrozenPart, Seen, features_of
from core.training.plan import drawn_numbers, keeps_variants, kept_numbers

Chosen = Sequence[Sequence[int]]
"""Batches of indices."""

MEMORY_SHARE = 0.2
"""Of the memory that is free when training begins, for pictures that are kept rather than decoded anew; the same again
for whole training pictures where parts of them are shown."""

NUMBERS_AT_ONCE = 1_000_000
"""Of the features in a batch of validation: as many as a processor's cache may hold."""


@dataclass(frozen=True)
class Inputs:
    """`training(chosen, epoch)` gives batches that `network` takes, `plain(examples, chosen)` those without variations.

    `validated_at_once` is how many pictures a batch of validation best has. `frozen` is what has run already, if
    anything has.
    """

    network: nn.Module
    training: Callable[[Chosen, int], Iterator[Batch]]
    plain: Callable[[Sequence[Example], Chosen], Iterator[Batch]]
    validated_at_once: int
    frozen: FrozenPart | None = None


def prepare_inputs(
    model: nn.Module,
    recipe: Recipe,
    split: Split,
    preprocessing: Preprocessing,
    precision: Precision,
    folder: Path | None,
) -> Generator[Event, None, Inputs]:
    """Features where the recipe allows them and `folder` can keep them, pictures otherwise."""
    halves = cut(model, catalogue.get(recipe.backbone).min_size) if folder and keeps_variants(recipe) else None
    if folder is None or halves is None:
        return from_pictures(_from_bytes(model, preprocessing), recipe, split, preprocessing)
    frozen = FrozenPart(halves.prefix, precision, folded=may_fold(recipe))
    try:
        variants, memo = Variants(preprocessing, recipe.augment), memo_file(Path(recipe.data))
        wanted = kept_numbers(recipe, split)
        features = yield from features_of(frozen, wanted, variants, folder, memo)
    except (OSError, FeaturesUnavailable) as error:
        cause = error.message if isinstance(error, FeaturesUnavailable) else str(error)
        template = "Every epoch runs the whole network, because {folder} cannot be used: {cause}."
        yield Notice(Message(template, folder=folder, cause=cause))
        return from_pictures(_from_bytes(model, preprocessing), recipe, split, preprocessing)
    at_once = max(recipe.batch_size, NUMBERS_AT_ONCE // features.numbers())
    return replace(from_kept(features, halves.rest, recipe, split, at_once), frozen=frozen)


def may_fold(recipe: Recipe) -> bool:
    """Whether BatchNorms may be computed with the convolutions before them, which is equal up to rounding.

    Rounding adds up where BatchNorm learns from small batches: who asks for fp32 gets the very same numbers.
    """
    return recipe.precision != "fp32"


def training_squares(recipe: Recipe, split: Split, preprocessing: Preprocessing) -> Inputs:
    """The inputs of training before any network: squares, uint8 (B, 3, crop, crop), made without weights.

    They are what `prepare_inputs` feeds to the network, or what it runs the frozen part over.
    """
    if not keeps_variants(recipe):
        return from_pictures(nn.Identity(), recipe, split, preprocessing)
    squares = _Squares(Variants(preprocessing, recipe.augment))
    return from_kept(squares, nn.Identity(), recipe, split, recipe.batch_size)


class Kept(Protocol):
    """What has each picture in all its variants: features, or the squares themselves."""

    def load(self, seen: Sequence[Seen], chosen: Chosen) -> Iterator[Batch]:
        """The `chosen` batches, by their indices in `seen`."""


@dataclass(frozen=True)
class _Squares:
    """The squares, made when they are wanted."""

    variants: Variants

    def load(self, seen: Sequence[Seen], chosen: Chosen) -> Iterator[Batch]:
        """The `chosen` batches, by their indices in `seen`."""

        def read(index: int) -> Tensor:
            example, number = seen[index]
            return self.variants.of(example.path, file_hash(example.path), [number])[0]

        return _labelled(read_ahead(read, chosen), [example for example, _ in seen], chosen)


def from_kept(kept: Kept, network: nn.Module, recipe: Recipe, split: Split, validated_at_once: int) -> Inputs:
    """In each epoch one of the kept variants of each training picture, drawn by seed and epoch."""
    numbers = drawn_numbers(recipe)

    def training(chosen: Chosen, epoch: int) -> Iterator[Batch]:
        draw = random.Random(f"{recipe.seeds.order}/{epoch}/views")
        return kept.load([(example, draw.choice(numbers)) for example in split.train], chosen)

    def plain(examples: Sequence[Example], chosen: Chosen) -> Iterator[Batch]:
        return kept.load([(example, 0) for example in examples], chosen)

    return Inputs(network, training, plain, validated_at_once)


def from_pictures(network: nn.Module, recipe: Recipe, split: Split, preprocessing: Preprocessing) -> Inputs:
    """Squares for a `network` that takes them as bytes. Pictures are decoded once, as far as the memory reaches.

    They are varied anew in every epoch, where the recipe augments.
    """
    budget = int(psutil.virtual_memory().available * MEMORY_SHARE)
    augmentation = AUGMENTATIONS[recipe.augment]
    ways = {plain_square, augmentation.source}
    read_as = {way: kept_in_memory(partial(way, preprocessing), budget) for way in ways}
    square, source = read_as[plain_square], read_as[augmentation.source]

    def training(chosen: Chosen, epoch: int) -> Iterator[Batch]:
        def read(index: int) -> Tensor:
            vary = augmentation.vary(preprocessing, f"{recipe.seeds.order}/{epoch}/{index}")
            return vary(source(split.train[index].path))

        return _labelled(read_ahead(read, chosen), split.train, chosen)

    def plain(examples: Sequence[Example], chosen: Chosen) -> Iterator[Batch]:
        return _labelled(read_ahead(lambda index: square(examples[index].path), chosen), examples, chosen)

    return Inputs(network, training, plain, recipe.batch_size)


def _from_bytes(model: nn.Module, preprocessing: Preprocessing) -> nn.Module:
    """The model with what makes numbers of bytes before it."""
    device = next(model.parameters()).device
    return nn.Sequential(Normalise(preprocessing).to(device), model)


def _labelled(images: Iterator[Tensor], examples: Sequence[Example], chosen: Chosen) -> Iterator[Batch]:
    for batch, indices in zip(images, chosen, strict=True):
        yield (batch,), torch.tensor([examples[index].label for index in indices])
