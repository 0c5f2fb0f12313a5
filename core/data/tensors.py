"""Pictures as tensors: read, cut to the square that the network sees, varied, and put into batches ahead of their use.

The pre-processing is that which the pretrained weights were trained with. Pictures stay bytes as long as possible: that
takes a quarter of the memory. `Normalise` turns a whole batch into numbers at once, on the device.
"""

import functools
import math
import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from core.backbones.catalogue import Preprocessing
from core.data.images import decode

ReadPicture = Callable[[Path], Tensor]
"""From a path to a picture, uint8 (3, H, W)."""
Frame = Callable[[Tensor], Tensor]
"""From a picture, uint8 (3, H, W), to the square that the network sees of it, uint8 (3, crop, crop)."""
ReadSource = Callable[[Preprocessing, Path], Tensor]
"""From a picture's path to what is shown, or varied, of it: uint8 (3, H, W). Raises BadImage."""
ReadIndex = Callable[[int], Tensor]
"""From an index to a tensor, of one shape for all indices."""
Batch = tuple[tuple[Tensor, ...], Tensor]
"""What goes into the network, one tensor for each of its inputs, and the labels."""

CROP_SCALE = (0.35, 1.0)
"""Share of a picture's area that a random crop shows. ImageNet's usual 0.08 would often miss what the picture is of."""
CROP_RATIO = (3 / 4, 4 / 3)
JITTER = 0.2
"""Brightness, contrast and saturation are multiplied by a factor from 1 - JITTER to 1 + JITTER."""


def read_pixels(path: Path, least: int | None = None) -> Tensor:
    """The image at `path` as a person sees it: uint8 (3, H, W). Raises BadImage as `core.data.images` does.

    `least` is how many pixels of the shorter side are needed: a large JPEG may then come smaller than it is.

    Pillow decodes as fast as torchvision, whose own decoders are deprecated; what follows is faster on tensors.
    """
    pixels: Tensor = functional.pil_to_tensor(decode(path, least=least))
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


def framing(preprocessing: Preprocessing) -> Frame:
    """Resize the shorter side and crop the centre, as torchvision's `weights.transforms()` begins."""
    mode = v2.InterpolationMode(preprocessing.interpolation)
    steps: Frame = v2.Compose([v2.Resize(preprocessing.resize, mode), v2.CenterCrop(preprocessing.crop)])
    return steps


def plain_square(preprocessing: Preprocessing, path: Path) -> Tensor:
    """What the network sees of a picture without variation, in validation and prediction: uint8 (3, crop, crop)."""
    return framing(preprocessing)(read_pixels(path, least=preprocessing.resize))


def whole_picture(preprocessing: Preprocessing, path: Path) -> Tensor:
    """A picture to take random crops from, uint8 (3, H, W): the smallest crop still has `crop` pixels a side.

    A picture that has fewer to begin with has all of its own.
    """
    smallest = math.sqrt(CROP_SCALE[0] * CROP_RATIO[0])
    return read_pixels(path, least=math.ceil(preprocessing.crop / smallest))


class Normalise(nn.Module):
    """Scale bytes to 0…1 and normalise, as `weights.transforms()` ends: uint8 (B, 3, H, W) → float32."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.mean = nn.Buffer(255 * torch.tensor(preprocessing.mean).view(3, 1, 1), persistent=False)
        self.std = nn.Buffer(255 * torch.tensor(preprocessing.std).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """`images` may have the channels last, and keeps them there."""
        return images.float().sub_(self.mean).div_(self.std)


def mirrored(key: str) -> Frame:
    """A square as it is or its mirror image, decided by `key` alone."""
    return functional.horizontal_flip if random.Random(key).random() < 0.5 else lambda square: square


def varied(preprocessing: Preprocessing, key: str) -> Frame:
    """A random part of a picture, in slightly other colours, perhaps mirrored; decided by `key` alone.

    It draws from a generator of its own and not from torch's, because pictures are read in threads.
    """
    draw = random.Random(key)

    def vary(image: Tensor) -> Tensor:
        square = _random_crop(image, preprocessing, draw)
        if draw.random() < 0.5:
            square = functional.horizontal_flip(square)
        for adjust in (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation):
            square = adjust(square, draw.uniform(1 - JITTER, 1 + JITTER))
        return square

    return vary


def _random_crop(image: Tensor, preprocessing: Preprocessing, draw: random.Random) -> Tensor:
    """A random part of the picture at the size of `crop`, never wider or higher than the picture is."""
    image_height, image_width = image.shape[-2:]
    area = draw.uniform(*CROP_SCALE) * image_width * image_height
    ratio = draw.uniform(*CROP_RATIO)
    width = min(image_width, max(1, round((area * ratio) ** 0.5)))
    height = min(image_height, max(1, round((area / ratio) ** 0.5)))
    left, top = draw.randint(0, image_width - width), draw.randint(0, image_height - height)
    size = [preprocessing.crop, preprocessing.crop]
    mode = v2.InterpolationMode(preprocessing.interpolation)
    cropped: Tensor = functional.resized_crop(image, top, left, height, width, size, interpolation=mode)
    return cropped


@dataclass(frozen=True)
class Augmentation:
    """How pictures are varied, in new ways in every epoch or in a few ways that are kept.

    `source` reads what is varied. `vary(preprocessing, key)` makes a new variant, decided by the key, a text, alone.
    `variant(preprocessing, content, number)` makes one of those that are kept (`core.training.plan`), but for 0, the
    plain square.
    """

    source: ReadSource
    vary: Callable[[Preprocessing, str], Frame]
    variant: Callable[[Preprocessing, str, int], Frame]


def _unchanged(square: Tensor) -> Tensor:
    return square


AUGMENTATIONS = {
    "none": Augmentation(
        plain_square,
        vary=lambda _preprocessing, _key: _unchanged,
        variant=lambda _preprocessing, _content, _number: _unchanged,
    ),
    "flip": Augmentation(
        plain_square,
        vary=lambda _preprocessing, key: mirrored(key),
        variant=lambda _preprocessing, _content, _number: functional.horizontal_flip,
    ),
    "standard": Augmentation(
        whole_picture,
        vary=varied,
        variant=lambda preprocessing, content, number: varied(preprocessing, f"{content}/{number - 1}"),
    ),
}
"""By the recipe's name of it (`core.recipe.AUGMENTATIONS`): the one place that says how pictures are varied."""


@dataclass(frozen=True)
class Variants:
    """What can be kept of each picture: the plain square, and variants of it in the way of `augment`."""

    preprocessing: Preprocessing
    augment: str

    def of(self, path: Path, content: str, numbers: Sequence[int]) -> Tensor:
        """The variants of the picture at `path` with these `numbers`: uint8 (variants, 3, crop, crop).

        Number 0 is the plain square. `content`, the hash of the file, decides the others: two copies of a picture have
        the same variants. Raises BadImage.
        """
        augmentation = AUGMENTATIONS[self.augment]
        read = functools.cache(lambda way: way(self.preprocessing, path))

        def variant(number: int) -> Tensor:
            if number == 0:
                square: Tensor = read(plain_square)
                return square
            return augmentation.variant(self.preprocessing, content, number)(read(augmentation.source))

        return torch.stack([variant(number) for number in numbers])


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
