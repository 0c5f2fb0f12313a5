"""Keep the weights of the best epoch: in memory at once, on the disk soon."""

import time
from collections.abc import Iterator
from pathlib import Path

from core.events import ArtifactSaved
from core.training import checkpoint
from core.training.setup import Setup
from core.training.snapshot import Snapshot

WRITE_EVERY = 1.0
"""Seconds between two writes: an epoch over features takes milliseconds, a durable write some tens of them."""


class Best:
    """The best weights so far, and `file`, where they are to be found at the latest when the run ends."""

    def __init__(self, setup: Setup, file: Path) -> None:
        self._setup = setup
        self._file = file
        self._copy = Snapshot(setup.model)
        self._epoch: int | None = None
        self._due = time.monotonic() + WRITE_EVERY

    def take(self, epoch: int) -> None:
        """The weights as they are now, after `epoch`, are the best."""
        self._copy.take()
        self._epoch = epoch

    def write_if_due(self) -> Iterator[ArtifactSaved]:
        """Write what was taken, unless the last write, or the beginning, is less than WRITE_EVERY ago."""
        if time.monotonic() >= self._due:
            yield from self.write()

    def write(self) -> Iterator[ArtifactSaved]:
        """Write what was taken since the last write, if anything was."""
        if self._epoch is None:
            return
        epoch, self._epoch = self._epoch, None
        about = (self._setup.recipe, self._setup.classes, self._setup.preprocessing)
        checkpoint.save(checkpoint.Checkpoint(*about, epoch=epoch, state=self._copy.state()), self._file)
        self._due = time.monotonic() + WRITE_EVERY
        yield ArtifactSaved(str(self._file), epoch)
