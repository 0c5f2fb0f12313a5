"""Keep a model: weights, recipe, class names and pre-processing, together in one safetensors file.

One file, so that weights never meet another run's class names; and it carries a digest of all it holds, because neither
safetensors nor torch notices a flipped byte.
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

from core.backbones.catalogue import Preprocessing
from core.errors import BadCheckpoint, BadRecipe
from core.recipe import Recipe, parse, to_settings
from core.training import durable


@dataclass(frozen=True)
class Checkpoint:
    """A model as it was after `epoch`. `state` is its state_dict, on the CPU."""

    recipe: Recipe
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    epoch: int
    state: Mapping[str, Tensor]


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write `checkpoint` to `path`, whole or not at all."""
    about = json.dumps(
        {
            "recipe": to_settings(checkpoint.recipe),
            "classes": checkpoint.classes,
            "preprocessing": dataclasses.asdict(checkpoint.preprocessing),
            "epoch": checkpoint.epoch,
        }
    )
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.state.items()}
    metadata = {"thaw": about, "sha256": _digest(about, state)}
    durable.replace(path, lambda partial: save_file(state, partial, metadata=metadata))


def load(path: Path) -> Checkpoint:
    """Read what `save` wrote. Raises BadCheckpoint when it is missing, damaged or something else; runs no code."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        raise BadCheckpoint(f"{path} cannot be read as saved weights ({error}); train the run again.") from error
    if "thaw" not in metadata:
        raise BadCheckpoint(f"{path} holds weights that Thaw did not save, so their recipe and classes are unknown.")
    if metadata.get("sha256") != _digest(metadata["thaw"], state):
        raise BadCheckpoint(f"{path} is damaged: its contents do not match its checksum; train the run again.")
    about = json.loads(metadata["thaw"])
    try:
        recipe = parse(about["recipe"])
    except BadRecipe as error:
        raise BadCheckpoint(f"{path} was saved by another version of Thaw, whose recipes differ:\n{error}") from error
    preprocessing = TypeAdapter(Preprocessing).validate_python(about["preprocessing"])
    return Checkpoint(recipe, tuple(about["classes"]), preprocessing, about["epoch"], state)


def _digest(about: str, state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the description and every tensor's name and bytes."""
    digest = hashlib.sha256(about.encode())
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
