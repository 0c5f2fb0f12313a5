"""Ask a kept model what it sees in a picture."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from core.backbones import catalogue
from core.backbones.build import build
from core.data.transforms import Normalise, plain_square
from core.errors import BadCheckpoint
from core.training.checkpoint import KeptModel, load_model

Classify = Callable[[Path], dict[str, float]]
"""From a picture to the probability of every class, 0…1, the likeliest first. Raises BadImage."""


def classifier(weights_file: Path) -> Classify:
    """The model that a run has kept, with the pre-processing that it was trained with.

    Raises BadCheckpoint when it cannot be used.
    """
    checkpoint = load_model(weights_file)
    model = restore(checkpoint)
    normalise = Normalise(checkpoint.preprocessing)

    def classify(picture: Path) -> dict[str, float]:
        with torch.inference_mode():
            shares = model(normalise(plain_square(checkpoint.preprocessing, picture)[None])).softmax(1)[0].tolist()
        return dict(sorted(zip(checkpoint.classes, shares, strict=True), key=lambda pair: -pair[1]))

    return classify


def restore(checkpoint: KeptModel) -> nn.Module:
    """The kept model in eval mode on the CPU. Raises BadCheckpoint when the weights do not fit its own backbone."""
    recipe = checkpoint.recipe
    model: nn.Module = build(catalogue.get(recipe.backbone), len(checkpoint.classes), pretrained=False)
    try:
        model.load_state_dict(dict(checkpoint.state))
    except RuntimeError as error:
        template = "The saved weights do not fit {backbone}: {cause}"
        raise BadCheckpoint(template, backbone=recipe.backbone, cause=str(error)) from error
    return model.eval()
