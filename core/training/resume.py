"""Keep all that a run needs to go on as if it had never been interrupted.

What is frozen is not kept: it comes from the same weights, or the same seed, again. Nor is the data order, nor the
variations of pictures: seed and epoch decide them.
"""

import pickle
import time
from pathlib import Path
from typing import Any

import torch

from core import events
from core.errors import BadCheckpoint
from core.events import EpochEnded
from core.training import durable
from core.training.objective import Tally
from core.training.setup import Setup
from core.training.standing import Standing

FORMAT = 1
"""To be raised when what is kept changes its meaning."""


def save(setup: Setup, standing: Standing, file: Path) -> None:
    """Put everything into `file`, whole or not at all."""
    state = {
        "format": FORMAT,
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


def load(setup: Setup, file: Path) -> Standing:
    """Bring model, optimizer and random generators to where they were; returns where the run stood.

    Runs no code of the file's. Raises BadCheckpoint when it is damaged, or another network's.
    """
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise _unusable(file) from error
    if state.get("format") != FORMAT or setup.changing.keys() != state["model"].keys():
        raise _unusable(file)
    for name, tensor in setup.changing.items():
        tensor.detach().copy_(state["model"][name])
    setup.optimizer.load_state_dict(state["optimizer"])
    _restore(state["generators"], setup.device)
    return Standing(
        epoch=state["epoch"],
        steps=state["steps"],
        tally=Tally(state["images"], state["sums"]),
        history=[_epoch_ended(values) for values in state["history"]],
        began=time.monotonic() - state["seconds"],
        epoch_began=state["epoch_began"],
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
