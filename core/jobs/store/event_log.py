"""What a run has said, as rows: written so that the same said twice is there once, and forgotten where it is said anew.

Both happen: an answer of the database may be lost after the writing, and a run goes on from its last checkpoint.
"""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from core import events
from core.events import Checkpointing, EpochEnded, Event, KeptTested, Progress, RunStarted, StepEnded
from core.figures import Score, balanced_accuracy, counted, score
from core.jobs.job import STEP_COLUMNS, FinalTest
from core.jobs.store.database import events as _events
from core.jobs.store.database import runs as _runs
from core.jobs.store.database import steps as _steps

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
        match event:
            case EpochEnded(kept=True):
                connection.execute(_note_kept(run, event, score(event.confusion)))
            case KeptTested():
                connection.execute(_note_test(connection, run, event))


def read_events(connection: sa.Connection, run: int, after: int) -> list[tuple[int, Event]]:
    """Row number and event of all but steps and progress, those with a row number above `after`."""
    query = sa.select(_events).where(_events.c.run == run, _events.c.id > after).order_by(_events.c.id)
    rows = connection.execute(query).mappings().all()
    return [(row["id"], events.from_dict(row["name"], row["values"])) for row in rows]


def read_kept(connection: sa.Connection, run: int) -> tuple[tuple[str, ...], EpochEnded] | None:
    """The names of a run's classes, and the epoch whose weights are kept; None before the first has ended."""
    query = sa.select(_events.c["values"]).where(_events.c.run == run).order_by(_events.c.id.desc()).limit(1)
    kept = sa.select(_runs.c.kept_epoch).where(_runs.c.id == run).scalar_subquery()
    epoch = query.where(_events.c.name == events.name(EpochEnded), _events.c["values"]["epoch"].as_integer() == kept)
    started = connection.execute(query.where(_events.c.name == events.name(RunStarted))).scalar()
    ended = connection.execute(epoch).scalar()
    if not started or not ended:
        return None
    event = events.from_dict(events.name(EpochEnded), ended)
    assert isinstance(event, EpochEnded)
    return tuple(started["classes"]), event


def read_steps(connection: sa.Connection, run: int, after: int) -> NDArray[np.float64]:
    """The steps numbered above `after`, in order: (steps, columns of STEP_COLUMNS)."""
    columns = [_steps.c[name] for name in STEP_COLUMNS]
    query = sa.select(*columns).where(_steps.c.run == run, _steps.c.step > after).order_by(_steps.c.step)
    cursor = connection.execute(query).cursor
    assert cursor is not None
    rows = cursor.fetchall()  # SQLAlchemy's own rows would take as long again.
    values = np.fromiter(chain.from_iterable(rows), np.float64, count=len(rows) * len(STEP_COLUMNS))
    return values.reshape(-1, len(STEP_COLUMNS))


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


def _note_kept(run: int, ended: EpochEnded | None, val: Score | None = None) -> sa.Update:
    """Make this epoch the one whose weights the run has kept; None: there is no such epoch."""
    return (
        sa.update(_runs)
        .where(_runs.c.id == run)
        .values(
            kept_epoch=ended.epoch if ended else None,
            val_right=val.right if val else None,
            val_images=val.images if val else None,
            balanced_accuracy=balanced_accuracy(ended.confusion) if ended and ended.confusion else None,
            zeros=ended.zeros if ended else None,
        )
    )


def _note_test(connection: sa.Connection, run: int, tested: KeptTested) -> sa.Update:
    """Keep the newest test, and how many there have been."""
    told = sa.select(sa.func.count()).where(_events.c.run == run, _events.c.name == events.name(KeptTested))
    looks, right = connection.execute(told).scalar_one(), score(tested.confusion)
    test = right and FinalTest(right, balanced_accuracy(tested.confusion), tested.epoch, looks)
    return sa.update(_runs).where(_runs.c.id == run).values(test=test and asdict(test))


def _rewind(connection: sa.Connection, run: int, started: RunStarted) -> None:
    """Forget what was written after the state from which a run goes on: it will be said again."""
    _forget_steps(connection, run, after=started.steps_done)
    kind = events.name(EpochEnded)
    query = sa.select(_events.c.id, _events.c["values"]).where(_events.c.run == run, _events.c.name == kind)
    left: list[EpochEnded] = []
    for row in connection.execute(query.order_by(_events.c.id)).all():
        event = events.from_dict(kind, row.values)
        assert isinstance(event, EpochEnded)
        if event.epoch > started.epochs_done:
            connection.execute(sa.delete(_events).where(_events.c.id == row.id))
        else:
            left.append(event)
    kept = kept_of(left)
    val = score(kept.confusion) if kept else None
    if kept and kept.val and not val:
        val = counted(kept.val.accuracy, started.val_images)
    connection.execute(_note_kept(run, kept, val))


def kept_of(ended: Sequence[EpochEnded]) -> EpochEnded | None:
    """The epoch whose weights are kept: the last that says so.

    Where none does, the history is from before November 2026: the first of the lowest loss, in validation if any.
    """
    said = [one for one in ended if one.kept]
    return said[-1] if said else min(ended, key=lambda one: (one.val or one.train).loss, default=None)
