"""The kept model: a safetensors file with what training changed, recipe, class names and pre-processing.

So weights never meet another run's class names. It carries a digest of all it holds, because neither safetensors nor
torch notices a flipped byte. What is frozen lies beside it, in a file named by its digest: one file on the disk for all
runs that rest on the same.
"""

import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from core import files
from core.backbones.catalogue import Preprocessing
from core.backbones.pretrained import RESTS_ON, frozen_file
from core.errors import BadCheckpoint, BadRecipe
from core.recipe import Recipe
from core.recipe_settings import parse, to_settings
from core.training.device import Numbers


@dataclass(frozen=True)
class KeptModel:
    """A model as it was after `epoch`. `state` is its state_dict, on the CPU, or the part of it that training changed.

    `numbers` are those in which it was validated; None in a file of before November 2026.
    """

    recipe: Recipe
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    epoch: int
    state: Mapping[str, Tensor]
    numbers: Numbers | None = None


@dataclass(frozen=True)
class Frozen:
    """What a kept model rests on: the tensors that training leaves alone, on the CPU, and their digest."""

    state: Mapping[str, Tensor]
    digest: str


def frozen_of(state: Mapping[str, Tensor], changing: Collection[str]) -> Frozen | None:
    """What is left of a network's `state` without what is `changing`; None where that is nothing."""
    rest = _on_cpu({name: tensor for name, tensor in state.items() if name not in changing})
    return Frozen(rest, _digest("", rest)) if rest else None


def save_model(kept: KeptModel, path: Path, frozen: Frozen | None = None) -> None:
    """Write `kept` to `path`, whole or not at all; what it rests on is kept already (`keep_frozen`)."""
    about = json.dumps(
        {
            "recipe": to_settings(kept.recipe),
            "classes": kept.classes,
            "preprocessing": dataclasses.asdict(kept.preprocessing),
            "epoch": kept.epoch,
            "numbers": kept.numbers and dataclasses.asdict(kept.numbers),
            RESTS_ON: frozen and frozen.digest,
        }
    )
    state = _on_cpu({name: value for name, value in kept.state.items() if not frozen or name not in frozen.state})
    metadata = {"thaw": about, "sha256": _digest(about, state)}
    files.write_aside(path, lambda partial: save_file(state, partial, metadata=metadata))


def keep_frozen(frozen: Frozen, weights_file: Path, shared_folder: Path | None) -> None:
    """See that what a kept model rests on lies beside it. Raises OSError.

    Where a file in `shared_folder` has it already, it is that very file under another name, and takes no room.
    """
    file = frozen_file(weights_file, frozen.digest)
    if _holds(file, frozen):
        return
    shared = shared_folder / file.name if shared_folder else file
    if not _holds(shared, frozen):
        files.write_aside(shared, lambda partial: save_file(dict(frozen.state), partial))
    if shared != file:
        shared.touch()  # Used now: it is not deleted as one that nobody needs (`core.jobs.results.tidy`).
        files.share(shared, file)


def _holds(file: Path, frozen: Frozen) -> bool:
    """Whether a file has it, undamaged."""
    try:
        return file.is_file() and _digest("", load_file(file)) == frozen.digest
    except (OSError, SafetensorError):
        return False


def load_model(path: Path) -> KeptModel:
    """Read what `save_model` wrote, with what it rests on. Raises BadCheckpoint when it is missing, damaged or foreign.

    Runs no code of the file's.
    """
    changes, digest = _read(path)
    if digest is None:
        return changes
    rest = frozen_file(path, digest)
    try:
        state = load_file(rest)
    except (OSError, SafetensorError) as error:
        template = "{path} cannot be read, on which the saved weights rest ({cause}); train the run again."
        raise BadCheckpoint(template, path=rest, cause=str(error)) from error
    if _digest("", state) != digest:
        raise _damaged(rest)
    return replace(changes, state=state | dict(changes.state))


def load_changes(path: Path) -> KeptModel:
    """The same, with only what training changed. Raises BadCheckpoint."""
    return _read(path)[0]


def _read(path: Path) -> tuple[KeptModel, str | None]:
    """What lies in the file itself, and the digest of what it rests on."""
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
        raise _damaged(path)
    try:
        about = json.loads(metadata["thaw"])
        recipe = parse(about["recipe"])
        preprocessing = TypeAdapter(Preprocessing).validate_python(about["preprocessing"])
        numbers = about.get("numbers") and TypeAdapter(Numbers).validate_python(about["numbers"])
        kept = KeptModel(recipe, tuple(about["classes"]), preprocessing, int(about["epoch"]), state, numbers)
        return kept, about.get(RESTS_ON)
    except BadRecipe as error:
        template = "{path} was saved by another version of Thaw, whose recipes differ:\n{cause}"
        raise BadCheckpoint(template, path=path, cause=error.message) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:  # Its maker knew the checksum, not the form.
        raise _damaged(path) from error


def _damaged(path: Path) -> BadCheckpoint:
    template = "{path} is damaged: its contents do not match its checksum; train the run again."
    return BadCheckpoint(template, path=path)


def restore_into(changing: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> None:
    """Put kept weights into the tensors of a network that training has changed or would change, by their names.

    Raises BadCheckpoint where they do not fit.
    """
    for name, tensor in changing.items():
        if name not in kept or kept[name].shape != tensor.shape:
            template = "The saved weights do not fit this network: {name} is missing or of another size; train again."
            raise BadCheckpoint(template, name=name)
        tensor.detach().copy_(kept[name])


def _on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def _digest(about: str, state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the description and every tensor's name and bytes."""
    digest = hashlib.sha256(about.encode())
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
