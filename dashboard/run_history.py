"""What a run has said so far, read from the store and sorted by kind; of a family, what its runs say on average."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from core.events import EpochEnded, FeaturesReady, Metrics, Notice, RunStarted
from core.jobs.job import STEP_COLUMNS, Run
from core.jobs.store import Store
from core.messages import Message


@dataclass(frozen=True)
class RunHistory:
    """`started` is None until the first step is near, `features` where the whole network runs in every epoch.

    `steps` is an array (steps, columns of STEP_COLUMNS); `last_event` is the row number of the newest event read.

    The history of a family is a mean over `members`, and has neither steps nor a last event.
    """

    started: RunStarted | None = None
    features: FeaturesReady | None = None
    notices: tuple[Message, ...] = ()
    epochs: tuple[EpochEnded, ...] = ()
    steps: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, len(STEP_COLUMNS))))
    last_event: int = 0
    members: "tuple[RunHistory, ...]" = ()

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


def outline_of(store: Store, run: Run) -> RunHistory:
    """The history of a run without its steps; that of a family is the mean over its runs, once the first has ended.

    A run at work would cut the curves of the others off, so the first one alone is shown while it goes on.
    """
    if not run.is_family:
        return read_outline(store, run.id)
    ended = [child for child in run.children if not child.live]
    return united([read_outline(store, child.id) for child in ended or run.children])


def united(histories: Sequence[RunHistory]) -> RunHistory:
    """The mean over all histories that have epochs, of those epochs that all of them have."""
    members = tuple(history for history in histories if history.epochs)
    told = [[member.epoch(epoch.epoch) for member in members] for epoch in (members[0].epochs if members else ())]
    return RunHistory(
        started=next((history.started for history in histories if history.started), None),
        notices=tuple(dict.fromkeys(notice for history in histories for notice in history.notices)),
        epochs=tuple(_mean_epoch([epoch for epoch in epochs if epoch]) for epochs in told if all(epochs)),
        members=members,
    )


def _mean_epoch(epochs: Sequence[EpochEnded]) -> EpochEnded:
    """Without counts: those of several runs over the same pictures are not to be added up."""
    validated = [epoch.val for epoch in epochs if epoch.val]
    return EpochEnded(
        epoch=epochs[0].epoch,
        train=_mean_metrics([epoch.train for epoch in epochs]),
        val=_mean_metrics(validated) if len(validated) == len(epochs) else None,
        seconds=_mean([epoch.seconds for epoch in epochs]),
        images_per_second=_mean([epoch.images_per_second for epoch in epochs]),
    )


def _mean_metrics(metrics: Sequence[Metrics]) -> Metrics:
    named: list[Mapping[str, float]] = [one.by_name() for one in metrics]
    shared = [name for name in named[0] if all(name in one for one in named)]
    return Metrics.parse({name: _mean([one[name] for one in named]) for name in shared})


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


FEWEST = 4
"""Epochs of which curves are read."""
RISE, FALL = 1.05, 0.95
"""Factors by which a cross-entropy must have changed to be said to."""


def reading(epochs: Sequence[EpochEnded]) -> str | None:
    """What the curves of cross-entropy say, in a sentence; None for few epochs or without validation."""
    told = [(epoch.epoch, epoch.train.cross_entropy, epoch.val.cross_entropy) for epoch in epochs if epoch.val]
    if len(told) < FEWEST:
        return None
    best, train_then, lowest = min(told, key=lambda one: one[2])
    _, train, val = told[-1]
    if val > RISE * lowest and train < train_then:
        return f"From epoch {best + 1} on it learns by heart: training still improves, validation does not."
    if val > RISE * lowest:
        return f"From epoch {best + 1} on training and validation get worse: a lower learning rate may help."
    if val < FALL * told[3 * len(told) // 4 - 1][2]:
        return "Validation still improves in the last quarter: more epochs may bring more."
    return "Validation has levelled off."
