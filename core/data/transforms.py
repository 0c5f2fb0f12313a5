"""From a picture to what the network sees: the pre-processing that the pretrained weights were trained with."""

from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from core.backbones.catalogue import Preprocessing

Transform = Callable[[Image.Image], Tensor]


def evaluation(preprocessing: Preprocessing) -> Transform:
    """Resize the shorter side, crop the centre, scale to 0…1, normalise: PIL RGB → float32 (3, crop, crop).

    The same steps, in the same order, as torchvision's `weights.transforms()`.
    """
    steps: Transform = v2.Compose(
        [
            v2.Resize(preprocessing.resize, interpolation=v2.InterpolationMode(preprocessing.interpolation)),
            v2.CenterCrop(preprocessing.crop),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean=list(preprocessing.mean), std=list(preprocessing.std)),
        ]
    )
    return steps
