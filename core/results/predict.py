"""Ask a kept model what it sees in a picture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from core.backbones import catalogue
from core.backbones.build import build
from core.data.pixels import pixels
from core.data.transforms import Normalise, framing
from core.errors import BadCheckpoint
from core.training.checkpoint import Checkpoint, load


@dataclass(frozen=True)
class Prediction:
    """One picture and the probability of every class, 0…1, the likeliest first."""

    path: Path
    probabilities: dict[str, float]


def predict(weights_file: Path, pictures: Sequence[Path]) -> Iterator[Prediction]:
    """One prediction per picture, with the pre-processing that the model was trained with.

    Raises BadCheckpoint when the model cannot be used, BadImage when a picture cannot be read.
    """
    checkpoint = load(weights_file)
    model = restore(checkpoint)
    frame, normalise = framing(checkpoint.preprocessing), Normalise(checkpoint.preprocessing)
    for path in pictures:
        with torch.inference_mode():
            shares = model(normalise(frame(pixels(path))[None])).softmax(1)[0].tolist()
        ranked = sorted(zip(checkpoint.classes, shares, strict=True), key=lambda pair: -pair[1])
        yield Prediction(path, dict(ranked))


def restore(checkpoint: Checkpoint) -> nn.Module:
    """The kept model in eval mode on the CPU. Raises BadCheckpoint when the weights do not fit its own backbone."""
    recipe = checkpoint.recipe
    model: nn.Module = build(catalogue.get(recipe.backbone), len(checkpoint.classes), pretrained=False)
    try:
        model.load_state_dict(dict(checkpoint.state))
    except RuntimeError as error:
        raise BadCheckpoint(f"The saved weights do not fit {recipe.backbone}: {error}") from error
    return model.eval()
