"""The store of runs: the truth about every run, and the only SQL.

Writers are the dashboard and the command line (queue a run, ask it to stop) and whoever has claimed a run (all the
rest). Readers ask for what came since the last row they have seen.
"""

import datetime as dt
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
import sqlalchemy as sa
from filelock import FileLock
from numpy.typing import NDArray

from core import events
from core.errors import UnknownRun
from core.events import EpochEnded, Event, Progress, StepEnded
from core.recipe import Recipe, parse, to_settings

Status = Literal["queued", "running", "finished", "failed", "stopped"]
STEP_COLUMNS = ("step", "epoch", "lr", "loss", "cross_entropy", "l1", "l2", "accuracy")
LIVE: frozenset[Status] = frozenset({"queued", "running"})

_tables = sa.MetaData()
_runs = sa.Table(
    "runs",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("status", sa.String(10), nullable=False, index=True),
    sa.Column("recipe", sa.JSON, nullable=False),
    sa.Column("created", sa.DateTime, nullable=False),
    sa.Column("worker", sa.String(200)),
    sa.Column("stop_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("progress", sa.JSON(none_as_null=True)),
    sa.Column("best_epoch", sa.Integer),
    sa.Column("best_loss", sa.Float),
    sa.Column("best_accuracy", sa.Float),
    sa.Column("seconds", sa.Float),
    sa.Column("message", sa.Text),
    sa.Column("traceback", sa.Text),
    sqlite_autoincrement=True,
)
_events = sa.Table(
    "events",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run", sa.ForeignKey("runs.id"), nullable=False, index=True),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("values", sa.JSON, nullable=False),
)
_steps = sa.Table(
    "steps",
    _tables,
    sa.Column("run", sa.ForeignKey("runs.id"), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    *(sa.Column(name, sa.Float, nullable=False) for name in STEP_COLUMNS[2:]),
)


@dataclass(frozen=True)
class Run:
    """One row of the store. `created` is UTC; `best_accuracy` is the best epoch's on the validation images, 0…1.

    `worker` names the process that claimed the run; `message` is the sentence that says why it failed.
    """

    id: int
    status: Status
    recipe: Recipe
    created: dt.datetime
    worker: str | None
    stop_requested: bool
    progress: Progress | None
    best_epoch: int | None
    best_accuracy: float | None
    seconds: float | None
    message: str | None
    traceback: str | None

    @property
    def live(self) -> bool:
        """Whether more is to come."""
        return self.status in LIVE


class Store:
    """A handle on the database at `url`; safe to share between threads, and any number may be open."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
        with _alone(self._engine.url), self._engine.begin() as connection:
            for table in _tables.sorted_tables:
                connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))

    def queue(self, recipe: Recipe) -> int:
        """Add a run at the end of the queue; returns its number."""
        return self._insert(recipe, status="queued").id

    def start(self, recipe: Recipe, worker: str) -> Run:
        """Add a run that `worker` carries out itself; it never is in the queue, where another might take it."""
        return self._insert(recipe, status="running", worker=worker)

    def _insert(self, recipe: Recipe, **values: Any) -> Run:
        created = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        row = sa.insert(_runs).values(recipe=to_settings(recipe), created=created, **values)
        with self._engine.begin() as connection:
            return _run(connection.execute(row.returning(*_runs.c)).mappings().one())

    def claim(self, worker: str) -> Run | None:
        """Take the oldest queued run for `worker`; None when there is none.

        One UPDATE decides, so that of many workers exactly one gets a run.
        """
        queued = sa.select(_runs.c.id).where(_runs.c.status == "queued").order_by(_runs.c.id).limit(1)
        chosen = sa.update(_runs).where(_runs.c.id == queued.scalar_subquery(), _runs.c.status == "queued")
        update = chosen.values(status="running", worker=worker)
        with self._engine.begin() as connection:
            row = connection.execute(update.returning(*_runs.c)).mappings().one_or_none()
        return _run(row) if row else None

    def append(self, run: int, happened: Sequence[Event]) -> bool:
        """Write down what happened, in one transaction; returns whether somebody wants the run to stop."""
        steps = [_step_row(run, event) for event in happened if isinstance(event, StepEnded)]
        others = [event for event in happened if not isinstance(event, StepEnded | Progress)]
        with self._engine.begin() as connection:
            if steps:
                connection.execute(sa.insert(_steps), steps)
            for event in others:
                row = {"run": run, "name": events.name(event), "values": events.to_dict(event)}
                connection.execute(sa.insert(_events), row)
                if isinstance(event, EpochEnded):
                    connection.execute(_note_best(run, event))
            update = sa.update(_runs).where(_runs.c.id == run).values(progress=_last_progress(happened))
            return bool(connection.execute(update.returning(_runs.c.stop_requested)).scalar_one())

    def end(
        self, run: int, status: Status, *, seconds: float | None = None, message: str | None = None, traceback: str = ""
    ) -> None:
        """Close a live run. A run that has ended already keeps its ending."""
        values = {"status": status, "seconds": seconds, "message": message, "traceback": traceback or None}
        update = sa.update(_runs).where(_runs.c.id == run, _runs.c.status.in_(LIVE))
        with self._engine.begin() as connection:
            connection.execute(update.values(progress=None, **values))

    def request_stop(self, run: int) -> None:
        """Ask whoever works on a run to stop; a run that nobody has claimed yet is stopped at once."""
        update = sa.update(_runs).where(_runs.c.id == run)
        with self._engine.begin() as connection:
            connection.execute(update.values(stop_requested=True))
            connection.execute(update.where(_runs.c.status == "queued").values(status="stopped"))

    def run(self, run: int) -> Run:
        """The run of that number. Raises UnknownRun."""
        row = None
        if run < 2**31:  # Beyond it, a number from an address bar fits into no database's integer.
            with self._engine.connect() as connection:
                row = connection.execute(sa.select(_runs).where(_runs.c.id == run)).mappings().one_or_none()
        if row is None:
            raise UnknownRun(f"There is no run {run}; the list of runs shows which there are.")
        return _run(row)

    def runs(self, status: Status | None = None) -> list[Run]:
        """All runs, or those of one status, the newest first."""
        query = sa.select(_runs).order_by(_runs.c.id.desc())
        if status:
            query = query.where(_runs.c.status == status)
        with self._engine.connect() as connection:
            return [_run(row) for row in connection.execute(query).mappings()]

    def events(self, run: int, after: int = 0) -> list[tuple[int, Event]]:
        """Row number and event of all but steps and progress, those with a row number above `after`."""
        query = sa.select(_events).where(_events.c.run == run, _events.c.id > after).order_by(_events.c.id)
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [(row["id"], events.from_dict(row["name"], row["values"])) for row in rows]

    def steps(self, run: int, after: int = 0) -> NDArray[np.float64]:
        """The steps of a run in order, those numbered above `after`: an array (steps, columns of STEP_COLUMNS).

        Numbers and not events, because a run may have a hundred thousand steps.
        """
        columns = [_steps.c[name] for name in STEP_COLUMNS]
        query = sa.select(*columns).where(_steps.c.run == run, _steps.c.step > after).order_by(_steps.c.step)
        with self._engine.connect() as connection:
            cursor = connection.execute(query).cursor
            assert cursor is not None
            rows = cursor.fetchall()  # SQLAlchemy's own rows would take as long again.
        values = np.fromiter(chain.from_iterable(rows), np.float64, count=len(rows) * len(STEP_COLUMNS))
        return values.reshape(-1, len(STEP_COLUMNS))


def _alone(url: sa.URL) -> AbstractContextManager[object]:
    """A lock for the opening of a SQLite file: turning a new one to WAL waits for nobody, but fails at once."""
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return FileLock(f"{url.database}.lock") if is_file else nullcontext()


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Readers do not block the writer (WAL), and whoever meets a lock waits up to 30 s."""
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _run(row: Any) -> Run:
    values = {field: row[field] for field in Run.__dataclass_fields__}
    progress = Progress(**row["progress"]) if row["progress"] else None
    return Run(**{**values, "recipe": parse(row["recipe"]), "progress": progress})


def _step_row(run: int, event: StepEnded) -> dict[str, Any]:
    return {"run": run, "step": event.step, "epoch": event.epoch, "lr": event.lr, **vars(event.metrics)}


def _last_progress(happened: Sequence[Event]) -> dict[str, Any] | None:
    """The stage that is under way, None once something else has happened."""
    last = happened[-1] if happened else None
    return events.to_dict(last) if isinstance(last, Progress) else None


def _note_best(run: int, ended: EpochEnded) -> sa.Update:
    """Make this epoch the run's best unless an earlier one had a loss as low."""
    deciding = ended.val or ended.train
    better = sa.or_(_runs.c.best_loss.is_(None), _runs.c.best_loss > deciding.loss)
    update = sa.update(_runs).where(_runs.c.id == run, better)
    accuracy = ended.val.accuracy if ended.val else None
    return update.values(best_epoch=ended.epoch, best_loss=deciding.loss, best_accuracy=accuracy)
