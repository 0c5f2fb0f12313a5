"""What a run leaves on the disk while it goes: the kept model, and the state to go on from.

The state has what learns and what is drawn at random. What is frozen is not in it: it comes from the same weights, or
the same seed, again. Seed and epoch decide the order and the variants of pictures, which are not in it.
"""

import dataclasses
import hashlib
import json
import pickle
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from core import events, files
from core.backbones import catalogue
from core.errors import BadCheckpoint
from core.events import METRICS, ArtifactSaved, Checkpointing, EpochEnded
from core.messages import Message
from core.optimizers import stretched
from core.recipe_settings import to_settings
from core.training.kept_model import (
    Frozen,
    KeptModel,
    frozen_of,
    keep_frozen,
    load_changes,
    restore_into,
    save_model,
)
from core.training.objective import Tally
from core.training.setup import Setup
from core.training.state import Snapshot, TrainingState

AFTER_EPOCHS = 1.0
"""Seconds between two checkpoints at ends of epochs: over features, an epoch takes less time than a checkpoint."""
AMID_EPOCHS = 30.0
"""Seconds without a checkpoint after which one is made in the middle of an epoch."""


class Checkpointer:
    """Writes the weights to keep to `weights_file`, and to `resume_file`, if there is one, the state to go on from.

    What is frozen is written to `shared_folder`, once for all runs that rest on it, and is beside each (`keep_frozen`).
    """

    def __init__(
        self,
        setup: Setup,
        state: TrainingState,
        weights_file: Path,
        resume_file: Path | None,
        shared_folder: Path | None,
    ) -> None:
        self._setup = setup
        self._state = state
        self._weights_file = weights_file
        self._resume_file = resume_file
        self._shared_folder = shared_folder
        self._kept = Snapshot(setup.model)
        self._unwritten: int | None = None
        self._written_at = time.monotonic()

    def mark_kept(self, epoch: int) -> None:
        """Take the weights as they are now, after `epoch`, as those to keep. The next `write` puts them on the disk."""
        self._kept.take()
        self._unwritten = epoch

    def restore_kept(self) -> None:
        """Put the weights to keep into the model, from the disk: a run that went on may not have them in memory."""
        restore_into(self._setup.changing, load_changes(self._weights_file).state)

    def write_after(self, seconds: float) -> Iterator[Checkpointing | ArtifactSaved]:
        """Write everything, unless that was done less than `seconds` ago."""
        if time.monotonic() - self._written_at >= seconds:
            yield from self.write()

    def write(self) -> Iterator[Checkpointing | ArtifactSaved]:
        """Write everything. The state comes last: it must not be ahead of the kept weights."""
        if self._resume_file:
            yield Checkpointing(self._state.epoch, self._state.steps)
        yield from self.write_kept()
        if self._resume_file:
            save_state(self._setup, self._state, self._resume_file)
        self._written_at = time.monotonic()

    @cached_property
    def _frozen(self) -> Frozen | None:
        """What the kept weights rest on, which is on the disk from now on: looked at once, not at every checkpoint."""
        frozen = frozen_of(self._setup.model.state_dict(), self._setup.changing.keys())
        if frozen:
            keep_frozen(frozen, self._weights_file, self._shared_folder)
        return frozen

    def write_kept(self) -> Iterator[ArtifactSaved]:
        """Write the weights to keep, if there are others than at the last write."""
        if self._unwritten is None:
            return
        epoch, self._unwritten = self._unwritten, None
        about = (self._setup.recipe, self._setup.classes, self._setup.preprocessing)
        kept = KeptModel(*about, epoch=epoch, state=self._kept.state(), numbers=self._setup.numbers)
        save_model(kept, self._weights_file, self._frozen)
        yield ArtifactSaved(str(self._weights_file), epoch)


FORMAT = 3
"""To be raised when what is kept changes its meaning."""
FORMATS = (2, FORMAT)
"""Those that can be gone on from. 2, of before November 2026, had the recipe in its form of then."""
CHANGED = {
    "recipe": Message("its settings have changed"),
    "classes": Message("classes were added, removed or renamed"),
    "pictures": Message("pictures were added, removed or moved"),
    "model": Message("the network's trainable part has changed"),
    "preprocessing": Message("the way in which pictures are prepared has changed"),
    "weights": Message("the weights that it starts from have changed"),
}
OLD_SETTINGS = (
    *("version", "data", "val_fraction", "backbone", "weights", "trainable", "image_size", "epochs", "batch_size"),
    *("seed", "device", "precision", "augment", "views", "optimizer", "penalties"),
)
"""All that a recipe had in its form of before."""
SavedState = dict[str, Any]
"""What a file holds, as plain values and tensors."""


def save_state(setup: Setup, state: TrainingState, file: Path) -> None:
    """Put everything into `file`, whole or not at all."""
    contents = {
        "format": FORMAT,
        "about": _must_agree(setup),
        "model": dict(setup.changing),
        "optimizer": setup.optimizer.state_dict(),
        "generators": _generators(setup.device),
        "epoch": state.epoch,
        "steps": state.steps,
        "epochs": setup.recipe.epochs,
        "images": state.tally.images,
        "sums": state.tally.sums,
        "answers": state.tally.answers,
        "history": [events.to_dict(ended) for ended in state.history],
        "seconds": state.seconds(),
        "epoch_began": state.epoch_began,
    }
    files.write_aside(file, lambda partial: _write_state(contents, partial))


def _write_state(contents: SavedState, file: Path) -> None:
    """Through a file of Python's, whose errors say what is wrong, such as a full disk; torch's own do not."""
    with file.open("wb") as opened:
        torch.save(contents, opened)


def read_state(file: Path) -> SavedState:
    """What `save_state` has put into `file`. Runs no code of the file's. Raises BadCheckpoint when it is damaged."""
    try:
        saved: SavedState = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise _unusable(file) from error
    if not isinstance(saved, dict) or saved.get("format") not in FORMATS:
        raise _unusable(file)
    return saved


def restore_state(setup: Setup, saved: SavedState) -> Message | None:
    """Bring model, optimizer and random generators to where they were; says what more epochs do to the schedule.

    Raises BadCheckpoint when what is trained, or the pictures, are others than they were.
    """
    for name, value in _must_agree(setup, saved["format"]).items():
        if saved["about"].get(name, _digest_of(None)) != value:
            template = "The run cannot go on: {change} since. Undo that, or train as a new run."
            raise BadCheckpoint(template, change=CHANGED[name])
    for name, tensor in setup.changing.items():
        tensor.detach().copy_(saved["model"][name])
    setup.optimizer.load_state_dict(saved["optimizer"])
    _restore(saved["generators"], setup.device)
    return stretched(setup.recipe.schedule, saved.get("epochs", setup.recipe.epochs), setup.recipe.epochs)


def _must_agree(setup: Setup, form: int = FORMAT) -> dict[str, str]:
    """What must be the same when the run goes on, as text; epochs may have been added."""
    settings = {**to_settings(setup.recipe), "epochs": None}
    if form == 2:
        settings = {name: value for name, value in settings.items() if name in OLD_SETTINGS} | {"version": 1}
    pictures = [(str(example.path), example.label) for example in (*setup.split.train, *setup.split.val)]
    parts = {
        "recipe": settings,
        "classes": setup.classes,
        "pictures": pictures,
        "model": list(setup.changing),
        "preprocessing": _learnt_for(setup),
        "weights": setup.own_weights,
    }
    return {name: _digest_of(part) for name, part in parts.items()}


def _learnt_for(setup: Setup) -> dict[str, Any] | None:
    """The pre-processing, where the first layer learns with another one than the catalogue's, as all did once.

    A frozen first layer comes anew with its own: the bundled SqueezeNet has changed both, and answers as before.
    """
    recipe, backbone = setup.recipe, catalogue.get(setup.recipe.backbone)
    usual = setup.preprocessing == backbone.preprocessing.at(recipe.image_size)
    learns = backbone.first_layer in catalogue.select(backbone, recipe.trainable)
    return dataclasses.asdict(setup.preprocessing) if learns and not usual else None


def _digest_of(part: object) -> str:
    return hashlib.sha256(json.dumps(part).encode()).hexdigest()


def training_state(saved: SavedState) -> TrainingState:
    """The state of the run when it was saved."""
    return TrainingState(
        epoch=saved["epoch"],
        steps=saved["steps"],
        tally=Tally(saved["images"], _sums(saved["sums"]), saved.get("answers", ())),
        history=_history(saved),
        began=time.perf_counter() - saved["seconds"],
        epoch_began=saved["epoch_began"],
    )


def _sums(saved: dict[str, float] | list[float]) -> dict[str, float]:
    """The sums of metrics by name. They were a list of the five of a step once; what is measured no more is dropped."""
    sums = saved if isinstance(saved, dict) else dict(zip(METRICS, saved, strict=False))
    return {name: total for name, total in sums.items() if name in METRICS and METRICS[name].measure}


def _history(saved: SavedState) -> list[EpochEnded]:
    """The epochs that have ended. Before November 2026 the lowest loss, penalties included, decided which was kept."""
    known = (events.from_dict("epoch_ended", values) for values in saved["history"])
    ended = [event for event in known if isinstance(event, EpochEnded)]
    if ended and not any(one.kept for one in ended):
        best = min(ended, key=lambda one: (one.val or one.train).loss)
        return [dataclasses.replace(one, kept=one is best) for one in ended]
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
        "The run cannot go on from {file}: the file is damaged, or another version of Thaw wrote it. Train the same "
        "settings as a new run.",
        file=file,
    )
