"""Images in batches: which ones, in which order, as tensors."""

import random
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from core.data.decode import decode
from core.data.folder import Example
from core.data.transforms import Transform

Batch = tuple[Tensor, Tensor]


def order(count: int, seed: int, epoch: int) -> list[int]:
    """The shuffled indices of one epoch, decided by `seed` and `epoch` alone."""
    indices = list(range(count))
    random.Random(f"{seed}/{epoch}").shuffle(indices)
    return indices


def batches(indices: Sequence[int], size: int) -> list[list[int]]:
    """Cut `indices` into batches of `size`; a last batch of one joins the one before it.

    BatchNorm in training mode cannot normalise a single value per channel. The last batch may so hold size + 1.
    """
    cut = [list(indices[start : start + size]) for start in range(0, len(indices), size)]
    if len(cut) > 1 and len(cut[-1]) == 1:
        cut[-2:] = [cut[-2] + cut[-1]]
    return cut


def load(examples: Sequence[Example], chosen: Sequence[Sequence[int]], transform: Transform) -> Iterator[Batch]:
    """Decode the `chosen` batches one after the other: images (B, 3, H, W) float32, labels (B) int64.

    Raises BadImage when a file cannot be read.
    """
    for batch in chosen:
        images = torch.stack([transform(decode(examples[index].path)) for index in batch])
        yield images, torch.tensor([examples[index].label for index in batch])
