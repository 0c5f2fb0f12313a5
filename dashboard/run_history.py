"""What a run has said so far, read from the store and sorted by kind."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from core.events import EpochEnded, FeaturesReady, Notice, RunStarted
from core.jobs.job import STEP_COLUMNS
from core.jobs.store import Store
from core.messages import Message


@dataclass(frozen=True)
class RunHistory:
    """`started` is None until the first step is near, `features` where the whole network runs in every epoch.

    `steps` is an array (steps, columns of STEP_COLUMNS); `last_event` is the row number of the newest event read.
    """

    started: RunStarted | None = None
    features: FeaturesReady | None = None
    notices: tuple[Message, ...] = ()
    epochs: tuple[EpochEnded, ...] = ()
    steps: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, len(STEP_COLUMNS))))
    last_event: int = 0

    def column(self, name: str) -> NDArray[np.float64]:
        """One measure of every step, in order."""
        return self.steps[:, STEP_COLUMNS.index(name)]

    @property
    def positions(self) -> NDArray[np.float64]:
        """Where the steps lie on an axis of epochs: the last step of epoch 2 lies at 2."""
        return self.column("step") / (self.started.steps_per_epoch if self.started else 1)

    def epoch(self, number: int | None) -> EpochEnded | None:
        """The epoch of that number, where it has ended."""
        return next((epoch for epoch in self.epochs if epoch.epoch == number), None)

    @property
    def seconds_per_epoch(self) -> float:
        """The mean over the epochs that have ended; there must be one."""
        return sum(epoch.seconds for epoch in self.epochs) / len(self.epochs)

    @property
    def last_step(self) -> int:
        """The number of the newest step; 0 before the first."""
        return int(self.steps[-1, 0]) if len(self.steps) else 0


def read_history(store: Store, run: int, known: RunHistory | None = None) -> RunHistory:
    """The history of `run` as it is now; only what is not `known` yet is read."""
    said = read_outline(store, run, known)
    new = store.runs.steps(run, after=said.last_step)
    return replace(said, steps=np.concatenate([said.steps, new])) if len(new) else said


def read_outline(store: Store, run: int, known: RunHistory | None = None) -> RunHistory:
    """The same without new steps, of which a run may have a hundred thousand.

    A run that was interrupted repeats some of what it had said: the last word counts, but for the first pass through
    the frozen part.
    """
    known = known or RunHistory()
    rows = store.runs.events(run, after=known.last_event)
    events = [event for _, event in rows]
    ended = [event for event in events if isinstance(event, EpochEnded)]
    return replace(
        known,
        started=next((event for event in reversed(events) if isinstance(event, RunStarted)), known.started),
        features=known.features or next((event for event in events if isinstance(event, FeaturesReady)), None),
        notices=tuple(dict.fromkeys((*known.notices, *(e.text for e in events if isinstance(e, Notice))))),
        epochs=tuple({epoch.epoch: epoch for epoch in (*known.epochs, *ended)}.values()),
        last_event=rows[-1][0] if rows else known.last_event,
    )
