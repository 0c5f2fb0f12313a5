"""Pictures as tensors, in batches: which ones, in which order, read ahead of their use."""

import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from core.data.images import decode

ReadPicture = Callable[[Path], Tensor]
"""From a path to a picture, uint8 (3, H, W)."""
ReadIndex = Callable[[int], Tensor]
"""From an index to a tensor, of one shape for all indices."""
Batch = tuple[tuple[Tensor, ...], Tensor]
"""What goes into the network, one tensor for each of its inputs, and the labels."""


def read_pixels(path: Path, least: int | None = None) -> Tensor:
    """The image at `path` as a person sees it: uint8 (3, H, W). Raises BadImage as `core.data.images` does.

    `least` is how many pixels of the shorter side are needed: a large JPEG may then come smaller than it is.

    Pillow decodes as fast as torchvision, whose own decoders are deprecated; what follows is faster on tensors.
    """
    pixels: Tensor = pil_to_tensor(decode(path, least=least))
    return pixels


def kept_in_memory(read: ReadPicture, budget: int) -> ReadPicture:
    """`read`, its results kept in memory until they take `budget` bytes.

    The first ones stay: every epoch reads every picture, so the pictures read last would be gone before they are
    needed again.
    """
    kept: dict[Path, Tensor] = {}
    lock = threading.Lock()
    left = budget

    def read_or_recall(path: Path) -> Tensor:
        nonlocal left
        if path in kept:
            return kept[path]
        image = read(path)
        with lock:
            if path not in kept and image.nbytes <= left:
                kept[path] = image
                left -= image.nbytes
        return image

    return read_or_recall


def shuffled(count: int, seed: int, epoch: int) -> list[int]:
    """The shuffled indices of one epoch, decided by `seed` and `epoch` alone."""
    indices = list(range(count))
    random.Random(f"{seed}/{epoch}").shuffle(indices)
    return indices


def cut_into_batches(indices: Sequence[int], size: int) -> list[list[int]]:
    """Cut `indices` into batches of `size`; a last batch of one joins the one before it, which then has `size` + 1.

    BatchNorm in training mode cannot normalise a single value per channel.
    """
    batches = [list(indices[start : start + size]) for start in range(0, len(indices), size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [batches[-2] + batches[-1]]
    return batches


def read_ahead(read: ReadIndex, chosen: Sequence[Sequence[int]], ahead: int = 1) -> Iterator[Tensor]:
    """What `read` gives for the indices of each batch, stacked; batch after batch.

    The next batches, `ahead` of them, are read in threads while the caller works on this one. Raises what `read`
    raises.
    """
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:

        def begin(batch: Sequence[int]) -> list[Future[Tensor]]:
            return [threads.submit(read, index) for index in batch]

        begun = [begin(batch) for batch in chosen[:ahead]]
        for position in range(ahead, ahead + len(chosen)):
            begun += [begin(following) for following in chosen[position : position + 1]]
            yield torch.stack([image.result() for image in begun.pop(0)])
