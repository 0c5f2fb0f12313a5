"""One image as a tensor, and images kept in memory so that each is decoded once."""

import threading
from collections.abc import Callable
from pathlib import Path

from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from core.data.decode import decode

Read = Callable[[Path], Tensor]


def pixels(path: Path) -> Tensor:
    """The image at `path` as a person sees it: uint8 (3, H, W). Raises BadImage as `core.data.decode` does.

    Pillow decodes as fast as torchvision, whose own decoders are deprecated; what follows is faster on tensors.
    """
    seen: Tensor = pil_to_tensor(decode(path))
    return seen


def remembering(read: Read, budget: int) -> Read:
    """`read`, its results kept in memory until they take `budget` bytes.

    What came first stays: every epoch reads everything, and so would find nothing left of what was read last.
    """
    kept: dict[Path, Tensor] = {}
    lock = threading.Lock()
    left = budget

    def remembered(path: Path) -> Tensor:
        nonlocal left
        if path in kept:
            return kept[path]
        image = read(path)
        with lock:
            if path not in kept and image.nbytes <= left:
                kept[path] = image
                left -= image.nbytes
        return image

    return remembered
