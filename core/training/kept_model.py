"""The kept model: one safetensors file with weights, recipe, class names and pre-processing.

So weights never meet another run's class names. It carries a digest of all it holds, because neither safetensors nor
torch notices a flipped byte.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core import files
from core.backbones.catalogue import Preprocessing
from core.errors import BadCheckpoint, BadRecipe
from core.recipe import Recipe
from core.recipe_settings import parse, to_settings
from core.training.device import Numbers


@dataclass(frozen=True)
class KeptModel:
    """A model as it was after `epoch`. `state` is its state_dict, on the CPU.

    `numbers` are those in which it was validated; None in a file of before November 2026.
    """

    recipe: Recipe
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    epoch: int
    state: Mapping[str, Tensor]
    numbers: Numbers | None = None


def save_model(checkpoint: KeptModel, path: Path) -> None:
    """Write `checkpoint` to `path`, whole or not at all."""
    about = json.dumps(
        {
            "recipe": to_settings(checkpoint.recipe),
            "classes": checkpoint.classes,
            "preprocessing": dataclasses.asdict(checkpoint.preprocessing),
            "epoch": checkpoint.epoch,
            "numbers": checkpoint.numbers and dataclasses.asdict(checkpoint.numbers),
        }
    )
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.state.items()}
    metadata = {"thaw": about, "sha256": _digest(about, state)}
    files.write_aside(path, lambda partial: save_file(state, partial, metadata=metadata))


def load_model(path: Path) -> KeptModel:
    """Read what `save_model` wrote. Raises BadCheckpoint when it is missing, damaged or something else.

    Runs no code of the file's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        template = "{path} cannot be read as saved weights ({cause}); train the run again."
        raise BadCheckpoint(template, path=path, cause=str(error)) from error
    if "thaw" not in metadata:
        template = "{path} holds weights that Thaw did not save, so their recipe and classes are unknown."
        raise BadCheckpoint(template, path=path)
    if metadata.get("sha256") != _digest(metadata["thaw"], state):
        template = "{path} is damaged: its contents do not match its checksum; train the run again."
        raise BadCheckpoint(template, path=path)
    about = json.loads(metadata["thaw"])
    try:
        recipe = parse(about["recipe"])
    except BadRecipe as error:
        template = "{path} was saved by another version of Thaw, whose recipes differ:\n{cause}"
        raise BadCheckpoint(template, path=path, cause=error.message) from error
    preprocessing = TypeAdapter(Preprocessing).validate_python(about["preprocessing"])
    numbers = about.get("numbers") and Numbers(**about["numbers"])
    return KeptModel(recipe, tuple(about["classes"]), preprocessing, about["epoch"], state, numbers)


def restore_into(changing: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> None:
    """Put kept weights into the tensors of a network that training has changed or would change, by their names.

    Raises BadCheckpoint where they do not fit.
    """
    for name, tensor in changing.items():
        if name not in kept or kept[name].shape != tensor.shape:
            template = "The saved weights do not fit this network: {name} is missing or of another size; train again."
            raise BadCheckpoint(template, name=name)
        tensor.detach().copy_(kept[name])


def _digest(about: str, state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the description and every tensor's name and bytes."""
    digest = hashlib.sha256(about.encode())
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
