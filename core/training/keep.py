"""What a run leaves on the disk while it goes: the best epoch's weights, and the state to go on from."""

import time
from collections.abc import Iterator
from pathlib import Path

from core.events import ArtifactSaved, Checkpointing
from core.training import checkpoint, resume
from core.training.setup import Setup
from core.training.snapshot import Snapshot
from core.training.standing import Standing

AFTER_EPOCHS = 1.0
"""Seconds between two checkpoints at ends of epochs: over features, an epoch takes milliseconds, and a checkpoint some
tens of them."""
AMID_EPOCHS = 30.0
"""Seconds without a checkpoint after which one is made in the middle of an epoch."""


class Keeper:
    """`weights_file` gets the best weights, `resume_file`, where there shall be one, the state to go on from."""

    def __init__(self, setup: Setup, standing: Standing, weights_file: Path, resume_file: Path | None) -> None:
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
            resume.save(self._setup, self._standing, self._resume_file)
        self._kept_at = time.monotonic()

    def keep_best(self) -> Iterator[ArtifactSaved]:
        """Write the best weights, if there are better ones than at the last write."""
        if self._unwritten is None:
            return
        epoch, self._unwritten = self._unwritten, None
        about = (self._setup.recipe, self._setup.classes, self._setup.preprocessing)
        checkpoint.save(checkpoint.Checkpoint(*about, epoch=epoch, state=self._best.state()), self._weights_file)
        yield ArtifactSaved(str(self._weights_file), epoch)
