"""Images in batches: which ones, in which order, as tensors."""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

Batch = tuple[tuple[Tensor, ...], Tensor]
"""What goes into the network, one tensor for each of its inputs, and the labels."""

Read = Callable[[int], Tensor]
"""From an index to an image (3, H, W), ready for the network."""


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


def load(read: Read, labels: Sequence[int], chosen: Sequence[Sequence[int]]) -> Iterator[Batch]:
    """The `chosen` batches one after the other: images (B, 3, H, W) float32, labels (B) int64.

    `read` gives the image of an index; the next batch is read while the caller works on this one. Raises BadImage when
    a file cannot be read.
    """
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:

        def begin(batch: Sequence[int]) -> list[Future[Tensor]]:
            return [threads.submit(read, index) for index in batch]

        ahead = [begin(batch) for batch in chosen[:1]]
        for position, batch in enumerate(chosen):
            ahead += [begin(following) for following in chosen[position + 1 : position + 2]]
            images = torch.stack([image.result() for image in ahead.pop(0)])
            yield (images,), torch.tensor([labels[index] for index in batch])
