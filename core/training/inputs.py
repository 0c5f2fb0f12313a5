"""Where the network's inputs come from: pictures for all of it, or features for what follows its frozen part."""

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn

from core.backbones import catalogue
from core.backbones.catalogue import Preprocessing
from core.backbones.cut import cut
from core.data.batches import Batch, kept_in_memory, read_ahead, read_pixels
from core.data.picture_info import memo_file
from core.data.scan import Example
from core.data.split import Split
from core.data.transforms import AUGMENTATIONS, Normalise, framing
from core.events import Event, Notice
from core.recipe import Recipe
from core.training.device import Precision
from core.training.features import FrozenPart, Looks, features_of

Chosen = Sequence[Sequence[int]]
"""Batches of indices."""

MEMORY_SHARE = 0.2
"""Of the memory that is free when training begins, for training pictures that are kept rather than decoded anew; the
same again for validation pictures where training varies its own."""

NUMBERS_AT_ONCE = 1_000_000
"""Of the features in a batch of validation: as many as a processor's cache may hold."""


@dataclass(frozen=True)
class Inputs:
    """`training(chosen, epoch)` and `validation(chosen)` give batches that `network` takes.

    `validated_at_once` is how many pictures a batch of validation best has.
    """

    network: nn.Module
    training: Callable[[Chosen, int], Iterator[Batch]]
    validation: Callable[[Chosen], Iterator[Batch]]
    validated_at_once: int


def prepare_inputs(
    model: nn.Module,
    recipe: Recipe,
    split: Split,
    preprocessing: Preprocessing,
    precision: Precision,
    folder: Path | None,
) -> Generator[Event, None, Inputs]:
    """Features where the recipe allows them and `folder` can keep them, pictures otherwise.

    Pictures it is when training begins at the first layer, or when every epoch shall see new variations.
    """
    always_new = recipe.augment != "none" and recipe.views == 0
    halves = None if folder is None or always_new else cut(model, catalogue.get(recipe.backbone).min_size)
    if folder is None or halves is None:
        return from_pictures(model, recipe, split, preprocessing)
    views = 0 if recipe.augment == "none" else recipe.views
    looks = Looks(preprocessing, recipe.augment, views)
    paths = [example.path for example in (*split.train, *split.val)]
    # Rounding adds up where BatchNorm learns from small batches; who asks for fp32 gets the very same numbers.
    frozen = FrozenPart(halves.prefix, precision, folded=recipe.precision != "fp32")
    try:
        features = yield from features_of(frozen, paths, looks, folder, memo_file(Path(recipe.data)))
    except OSError as error:
        yield Notice(f"Every epoch runs the whole network, because {folder} cannot be used: {error}.")
        return from_pictures(model, recipe, split, preprocessing)

    def training(chosen: Chosen, epoch: int) -> Iterator[Batch]:
        draw = random.Random(f"{recipe.seed}/{epoch}/views")
        return features.load([(example, draw.randint(1, views) if views else 0) for example in split.train], chosen)

    def validation(chosen: Chosen) -> Iterator[Batch]:
        return features.load([(example, 0) for example in split.val], chosen)

    return Inputs(halves.rest, training, validation, max(recipe.batch_size, NUMBERS_AT_ONCE // features.numbers()))


def from_pictures(model: nn.Module, recipe: Recipe, split: Split, preprocessing: Preprocessing) -> Inputs:
    """Decoded once, as far as the memory reaches; varied anew in every epoch where the recipe augments."""
    frame = framing(preprocessing)
    budget = int(psutil.virtual_memory().available * MEMORY_SHARE)
    whole = kept_in_memory(read_pixels, budget)
    framed = kept_in_memory(lambda path: frame(read_pixels(path)), budget)

    augmentation = AUGMENTATIONS[recipe.augment]
    source = whole if augmentation.from_whole else framed

    def training(chosen: Chosen, epoch: int) -> Iterator[Batch]:
        def read(index: int) -> Tensor:
            vary = augmentation.vary(preprocessing, f"{recipe.seed}/{epoch}/{index}")
            return vary(source(split.train[index].path))

        return _labelled(read_ahead(read, chosen), split.train, chosen)

    def validation(chosen: Chosen) -> Iterator[Batch]:
        return _labelled(read_ahead(lambda index: framed(split.val[index].path), chosen), split.val, chosen)

    device = next(model.parameters()).device
    network = nn.Sequential(Normalise(preprocessing).to(device), model)
    return Inputs(network, training, validation, recipe.batch_size)


def _labelled(images: Iterator[Tensor], examples: Sequence[Example], chosen: Chosen) -> Iterator[Batch]:
    for batch, indices in zip(images, chosen, strict=True):
        yield (batch,), torch.tensor([examples[index].label for index in indices])
