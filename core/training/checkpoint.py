"""What a run leaves on the disk while it goes: the kept model, and the state to go on from.

The kept model is one safetensors file with weights, recipe, class names and pre-processing, so that weights never meet
another run's class names. It carries a digest of all it holds, because neither safetensors nor torch notices a flipped
byte. The state has what learns and what is drawn at random. What is frozen is not in it: it comes from the same
weights, or the same seed, again. Nor is the data order, nor the variations of pictures: seed and epoch decide them.
"""

import dataclasses
import hashlib
import json
import pickle
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core import events, files
from core.backbones.catalogue import Preprocessing
from core.errors import BadCheckpoint, BadRecipe
from core.events import ArtifactSaved, Checkpointing, EpochEnded
from core.metrics import METRICS
from core.recipe import Recipe, parse, to_settings
from core.training.objective import Tally
from core.training.setup import Setup
from core.training.state import Snapshot, TrainingState

AFTER_EPOCHS = 1.0
"""Seconds between two checkpoints at ends of epochs: over features, an epoch takes milliseconds, and a checkpoint some
tens of them."""
AMID_EPOCHS = 30.0
"""Seconds without a checkpoint after which one is made in the middle of an epoch."""


class Checkpointer:
    """`weights_file` gets the best weights, `resume_file`, where there shall be one, the state to go on from."""

    def __init__(self, setup: Setup, standing: TrainingState, weights_file: Path, resume_file: Path | None) -> None:
        self._setup = setup
        self._standing = standing
        self._weights_file = weights_file
        self._resume_file = resume_file
        self._best = Snapshot(setup.model)
        self._unwritten: int | None = None
        self._kept_at = time.monotonic()

    def take_best(self, epoch: int) -> None:
        """The weights as they are now, after `epoch`, are the best; they are on the disk after the next `keep`."""
        self._best.take()
        self._unwritten = epoch

    def keep_after(self, seconds: float) -> Iterator[Checkpointing | ArtifactSaved]:
        """Keep everything, unless that was done less than `seconds` ago."""
        if time.monotonic() - self._kept_at >= seconds:
            yield from self.keep()

    def keep(self) -> Iterator[Checkpointing | ArtifactSaved]:
        """Keep everything. The state comes last: it must not be ahead of the best weights."""
        if self._resume_file:
            yield Checkpointing(self._standing.epoch, self._standing.steps)
        yield from self.keep_best()
        if self._resume_file:
            save_state(self._setup, self._standing, self._resume_file)
        self._kept_at = time.monotonic()

    def keep_best(self) -> Iterator[ArtifactSaved]:
        """Write the best weights, if there are better ones than at the last write."""
        if self._unwritten is None:
            return
        epoch, self._unwritten = self._unwritten, None
        about = (self._setup.recipe, self._setup.classes, self._setup.preprocessing)
        save_model(KeptModel(*about, epoch=epoch, state=self._best.state()), self._weights_file)
        yield ArtifactSaved(str(self._weights_file), epoch)


@dataclass(frozen=True)
class KeptModel:
    """A model as it was after `epoch`. `state` is its state_dict, on the CPU."""

    recipe: Recipe
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    epoch: int
    state: Mapping[str, Tensor]


def save_model(checkpoint: KeptModel, path: Path) -> None:
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
    files.write_aside(path, lambda partial: save_file(state, partial, metadata=metadata))


def load_model(path: Path) -> KeptModel:
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
    return KeptModel(recipe, tuple(about["classes"]), preprocessing, about["epoch"], state)


def _digest(about: str, state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the description and every tensor's name and bytes."""
    digest = hashlib.sha256(about.encode())
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


FORMAT = 2
"""To be raised when what is kept changes its meaning."""
CHANGED = {
    "recipe": "its settings have changed",
    "classes": "classes were added, removed or renamed",
    "pictures": "pictures were added, removed or moved",
    "model": "the network's trainable part has changed",
}
SavedState = dict[str, Any]
"""What a file holds, as plain values and tensors."""


def save_state(setup: Setup, standing: TrainingState, file: Path) -> None:
    """Put everything into `file`, whole or not at all."""
    state = {
        "format": FORMAT,
        "about": _must_agree(setup),
        "model": dict(setup.changing),
        "optimizer": setup.optimizer.state_dict(),
        "generators": _generators(setup.device),
        "epoch": standing.epoch,
        "steps": standing.steps,
        "images": standing.tally.images,
        "sums": standing.tally.sums,
        "history": [events.to_dict(ended) for ended in standing.history],
        "seconds": standing.seconds(),
        "epoch_began": standing.epoch_began,
    }
    files.write_aside(file, lambda partial: _write_state(state, partial))


def _write_state(state: dict[str, Any], file: Path) -> None:
    """By way of Python's file, whose errors say what is wrong, such as a full disk; torch's own do not."""
    with file.open("wb") as opened:
        torch.save(state, opened)


def read_state(file: Path) -> SavedState:
    """What `save` has put into `file`. Runs no code of the file's. Raises BadCheckpoint when it is damaged."""
    try:
        kept: SavedState = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise _unusable(file) from error
    if not isinstance(kept, dict) or kept.get("format") != FORMAT:
        raise _unusable(file)
    return kept


def restore_state(setup: Setup, kept: SavedState) -> None:
    """Bring model, optimizer and random generators to where they were.

    Raises BadCheckpoint when what is trained, or the pictures, are others than they were.
    """
    for name, value in _must_agree(setup).items():
        if kept["about"][name] != value:
            raise BadCheckpoint(f"The run cannot go on: {CHANGED[name]} since. Undo that, or train as a new run.")
    for name, tensor in setup.changing.items():
        tensor.detach().copy_(kept["model"][name])
    setup.optimizer.load_state_dict(kept["optimizer"])
    _restore(kept["generators"], setup.device)


def _must_agree(setup: Setup) -> dict[str, str]:
    """What must be the same when the run goes on, as text; epochs may have been added."""
    settings = {**to_settings(setup.recipe), "epochs": None}
    pictures = [(str(example.path), example.label) for example in (*setup.split.train, *setup.split.val)]
    parts = {"recipe": settings, "classes": setup.classes, "pictures": pictures, "model": list(setup.changing)}
    return {name: hashlib.sha256(json.dumps(part).encode()).hexdigest() for name, part in parts.items()}


def training_state(kept: SavedState) -> TrainingState:
    """Where the run stood."""
    return TrainingState(
        epoch=kept["epoch"],
        steps=kept["steps"],
        tally=Tally(kept["images"], _sums(kept["sums"])),
        history=[_epoch_ended(values) for values in kept["history"]],
        began=time.perf_counter() - kept["seconds"],
        epoch_began=kept["epoch_began"],
    )


def _sums(kept: dict[str, float] | list[float]) -> dict[str, float]:
    """The sums of metrics by name. They were a list of the five of a step once; what is measured no more is dropped."""
    sums = kept if isinstance(kept, dict) else dict(zip(METRICS, kept, strict=False))
    return {name: total for name, total in sums.items() if name in METRICS}


def _epoch_ended(values: dict[str, Any]) -> EpochEnded:
    ended = events.from_dict("epoch_ended", values)
    assert isinstance(ended, EpochEnded)
    return ended


def _generators(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of torch's global generators that training draws from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def _restore(states: dict[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    if device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])


def _unusable(file: Path) -> BadCheckpoint:
    return BadCheckpoint(
        f"The run cannot go on from {file}: the file is damaged, or another version of Thaw wrote it. Train the same "
        "settings as a new run."
    )
