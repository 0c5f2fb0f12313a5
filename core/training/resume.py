"""Keep all that a run needs to go on as if it had never been interrupted.

What is frozen is not kept: it comes from the same weights, or the same seed, again. Nor is the data order, nor the
variations of pictures: seed and epoch decide them.
"""

import hashlib
import json
import pickle
import time
from pathlib import Path
from typing import Any

import torch

from core import events
from core.errors import BadCheckpoint
from core.events import EpochEnded
from core.recipe import to_settings
from core.training import durable
from core.training.objective import Tally
from core.training.setup import Setup
from core.training.standing import Standing

FORMAT = 2
"""To be raised when what is kept changes its meaning."""
CHANGED = {
    "recipe": "its settings have changed",
    "classes": "classes were added, removed or renamed",
    "pictures": "pictures were added, removed or moved",
    "model": "the network's trainable part has changed",
}
Kept = dict[str, Any]
"""What a file holds, as plain values and tensors."""


def save(setup: Setup, standing: Standing, file: Path) -> None:
    """Put everything into `file`, whole or not at all."""
    state = {
        "format": FORMAT,
        "about": _about(setup),
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
    durable.replace(file, lambda partial: _write(state, partial))


def _write(state: dict[str, Any], file: Path) -> None:
    """By way of Python's file, whose errors say what is wrong, such as a full disk; torch's own do not."""
    with file.open("wb") as opened:
        torch.save(state, opened)


def read(file: Path) -> Kept:
    """What `save` has put into `file`. Runs no code of the file's. Raises BadCheckpoint when it is damaged."""
    try:
        kept: Kept = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise _unusable(file) from error
    if not isinstance(kept, dict) or kept.get("format") != FORMAT:
        raise _unusable(file)
    return kept


def restore(setup: Setup, kept: Kept) -> None:
    """Bring model, optimizer and random generators to where they were.

    Raises BadCheckpoint when what is trained, or the pictures, are others than they were.
    """
    for name, value in _about(setup).items():
        if kept["about"][name] != value:
            raise BadCheckpoint(f"The run cannot go on: {CHANGED[name]} since. Undo that, or train as a new run.")
    for name, tensor in setup.changing.items():
        tensor.detach().copy_(kept["model"][name])
    setup.optimizer.load_state_dict(kept["optimizer"])
    _restore(kept["generators"], setup.device)


def _about(setup: Setup) -> dict[str, str]:
    """What must be the same when the run goes on, as text; epochs may have been added."""
    settings = {**to_settings(setup.recipe), "epochs": None}
    pictures = [(str(example.path), example.label) for example in (*setup.split.train, *setup.split.val)]
    parts = {"recipe": settings, "classes": setup.classes, "pictures": pictures, "model": list(setup.changing)}
    return {name: hashlib.sha256(json.dumps(part).encode()).hexdigest() for name, part in parts.items()}


def standing(kept: Kept) -> Standing:
    """Where the run stood."""
    return Standing(
        epoch=kept["epoch"],
        steps=kept["steps"],
        tally=Tally(kept["images"], kept["sums"]),
        history=[_epoch_ended(values) for values in kept["history"]],
        began=time.perf_counter() - kept["seconds"],
        epoch_began=kept["epoch_began"],
    )


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
