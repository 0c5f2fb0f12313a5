"""From a picture to what the network sees: the pre-processing that the pretrained weights were trained with."""

import random
from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from core.backbones.catalogue import Preprocessing

Transform = Callable[[Image.Image], Tensor]

CROP_SCALE = (0.35, 1.0)
"""Share of a picture's area that a random crop shows. ImageNet's usual 0.08 would often miss what the picture is of."""
CROP_RATIO = (3 / 4, 4 / 3)
JITTER = 0.2
"""Brightness, contrast and saturation are multiplied by 1 ± this at the most."""


def evaluation(preprocessing: Preprocessing) -> Transform:
    """Resize the shorter side, crop the centre, scale to 0…1, normalise: PIL RGB → float32 (3, crop, crop).

    The same steps, in the same order, as torchvision's `weights.transforms()`.
    """
    framed = [_resized(preprocessing), v2.CenterCrop(preprocessing.crop)]
    steps: Transform = v2.Compose([*framed, *_as_numbers(preprocessing)])
    return steps


def augmentation(preprocessing: Preprocessing, augment: str, key: str) -> Transform:
    """One variation of a picture, decided by `key` alone; the shapes and the numbers are those of `evaluation`.

    With a generator of its own and not torch's, because pictures are decoded in threads.
    """
    draw = random.Random(key)
    numbers = v2.Compose(_as_numbers(preprocessing))
    framed = v2.Compose([_resized(preprocessing), v2.CenterCrop(preprocessing.crop)])

    def vary(image: Image.Image) -> Tensor:
        seen = _random_crop(image, preprocessing, draw) if augment == "standard" else framed(image)
        if draw.random() < 0.5:
            seen = functional.horizontal_flip(seen)
        if augment == "standard":
            for adjust in (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation):
                seen = adjust(seen, draw.uniform(1 - JITTER, 1 + JITTER))
        varied: Tensor = numbers(seen)
        return varied

    return vary


def _random_crop(image: Image.Image, preprocessing: Preprocessing, draw: random.Random) -> Image.Image:
    """A random part of the picture at the size of `crop`, never wider or higher than the picture is."""
    area = draw.uniform(*CROP_SCALE) * image.width * image.height
    ratio = draw.uniform(*CROP_RATIO)
    width = min(image.width, max(1, round((area * ratio) ** 0.5)))
    height = min(image.height, max(1, round((area / ratio) ** 0.5)))
    left, top = draw.randint(0, image.width - width), draw.randint(0, image.height - height)
    size = [preprocessing.crop, preprocessing.crop]
    mode = v2.InterpolationMode(preprocessing.interpolation)
    cropped: Image.Image = functional.resized_crop(image, top, left, height, width, size, interpolation=mode)
    return cropped


def _resized(preprocessing: Preprocessing) -> v2.Transform:
    return v2.Resize(preprocessing.resize, interpolation=v2.InterpolationMode(preprocessing.interpolation))


def _as_numbers(preprocessing: Preprocessing) -> list[v2.Transform]:
    normalise = v2.Normalize(mean=list(preprocessing.mean), std=list(preprocessing.std))
    return [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), normalise]
