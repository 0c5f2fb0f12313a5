"""What a run has said, as rows: written so that the same said twice is there once, and forgotten where it is said anew.

Both happen: an answer of the database may be lost after the writing, and a run goes on from its last checkpoint.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from core import events
from core.events import Checkpointing, EpochEnded, Event, Progress, RunStarted, StepEnded
from core.jobs.job import STEP_COLUMNS
from core.jobs.store.tables import events as _events
from core.jobs.store.tables import runs as _runs
from core.jobs.store.tables import steps as _steps

_PASSING = (StepEnded, Progress, Checkpointing)
"""Events without a row among the events: steps have a table of their own, the others are soon of no interest."""


def write_events(connection: sa.Connection, run: int, happened: Sequence[Event]) -> None:
    """Add `happened` to what the run has said."""
    for event in happened:
        if isinstance(event, RunStarted):
            _rewind(connection, run, event)
    if steps := [_step_row(run, event) for event in happened if isinstance(event, StepEnded)]:
        _forget_steps(connection, run, after=steps[0]["step"] - 1)
        connection.execute(sa.insert(_steps), steps)
    rows = [
        {"run": run, "name": events.name(event), "values": events.to_dict(event)}
        for event in happened
        if not isinstance(event, _PASSING)
    ]
    if rows and not _are_last(connection, run, rows):
        connection.execute(sa.insert(_events), rows)
    for event in happened:
        if isinstance(event, EpochEnded):
            connection.execute(_note_best(run, event))


def _step_row(run: int, event: StepEnded) -> dict[str, Any]:
    metrics = {name: getattr(event.metrics, name) for name in STEP_COLUMNS[3:]}
    return {"run": run, "step": event.step, "epoch": event.epoch, "lr": event.lr, **metrics}


def _forget_steps(connection: sa.Connection, run: int, after: int) -> None:
    connection.execute(sa.delete(_steps).where(_steps.c.run == run, _steps.c.step > after))


def _are_last(connection: sa.Connection, run: int, rows: list[dict[str, Any]]) -> bool:
    """Whether the last that the run has said is `rows`."""
    query = sa.select(_events.c.run, _events.c.name, _events.c["values"]).where(_events.c.run == run)
    last = connection.execute(query.order_by(_events.c.id.desc()).limit(len(rows))).mappings()
    return [_plain(row) for row in reversed(last.all())] == [_plain(row) for row in rows]


def _plain(row: Any) -> tuple[str, Event]:
    return row["name"], events.from_dict(row["name"], row["values"])


def _note_best(run: int, ended: EpochEnded) -> sa.Update:
    """Make this epoch the run's best unless an earlier one had a loss as low."""
    deciding = ended.val or ended.train
    better = sa.or_(_runs.c.best_loss.is_(None), _runs.c.best_loss > deciding.loss)
    update = sa.update(_runs).where(_runs.c.id == run, better)
    accuracy = ended.val.accuracy if ended.val else None
    return update.values(best_epoch=ended.epoch, best_loss=deciding.loss, best_accuracy=accuracy)


def _rewind(connection: sa.Connection, run: int, started: RunStarted) -> None:
    """Forget what was written after the state from which a run goes on: it will be said again."""
    _forget_steps(connection, run, after=started.steps_done)
    kind = events.name(EpochEnded)
    query = sa.select(_events.c.id, _events.c["values"]).where(_events.c.run == run, _events.c.name == kind)
    ended = [(row.id, events.from_dict(kind, row.values)) for row in connection.execute(query.order_by(_events.c.id))]
    nothing = {"best_epoch": None, "best_loss": None, "best_accuracy": None}
    connection.execute(sa.update(_runs).where(_runs.c.id == run).values(nothing))
    for row, event in ended:
        assert isinstance(event, EpochEnded)
        if event.epoch > started.epochs_done:
            connection.execute(sa.delete(_events).where(_events.c.id == row))
        else:
            connection.execute(_note_best(run, event))
