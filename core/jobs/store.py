"""The store of runs: the truth about every run, and the only SQL.

Writers are the dashboard and the command line (queue a run, ask it to pause or to stop, label it) and whoever has
claimed a run (all the rest). Readers ask for what came since the last row they have seen.
"""

import datetime as dt
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Unpack

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from core import events
from core.errors import NotNow, StoreUnavailable, TakenOver, UnknownRun
from core.events import Event, Progress
from core.home import thaw_home
from core.jobs import event_log, tables
from core.jobs.run import ALLOWED, LIVE, STEP_COLUMNS, Annotations, Request, Run, Status
from core.recipe import Recipe, parse, to_settings
from core.settings import settings

_runs, _events, _steps = tables.runs, tables.events, tables.steps
_HELD = _runs.c.status == "running"
_WAITING = sa.and_(_runs.c.status == "queued", _runs.c.deleted.is_(None))
_FRONT = (_runs.c.place, _runs.c.id)
"""The order of the queue."""


class Store:
    """A handle on the database at `url`; safe to share between threads, and any number may be open.

    Everything raises StoreUnavailable when the database cannot be reached, is locked for long, or its disk is full.
    """

    def __init__(self, url: str | sa.URL) -> None:
        with _in_words():
            self._engine = tables.connect(url)

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with _in_words(), self._engine.begin() as connection:
            yield connection

    # Into the queue, out of it, and what happens in between.

    def queue(self, recipe: Recipe) -> int:
        """Add a run at the end of the queue; returns its number."""
        return self._insert(recipe, status="queued", place=_last_place()).id

    def start(self, recipe: Recipe, worker: str) -> Run:
        """Add a run that `worker` carries out itself; it never is in the queue, where another might take it."""
        return self._insert(recipe, status="running", worker=worker, heartbeat=time.time())

    def _insert(self, recipe: Recipe, **values: Any) -> Run:
        created = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        row = sa.insert(_runs).values(recipe=to_settings(recipe), created=created, **values)
        with self._transaction() as connection:
            return _run(connection.execute(row.returning(*_runs.c)).mappings().one())

    def claim(self, worker: str, home: str | None = None) -> Run | None:
        """Take for `worker` the first run of the queue that is not bound to another THAW_HOME than `home`; or None.

        One UPDATE decides, so that of many workers exactly one gets a run.
        """
        free = sa.and_(_WAITING, _of_home(home))
        first = sa.select(_runs.c.id).where(free).order_by(*_FRONT).limit(1)
        chosen = sa.update(_runs).where(_runs.c.id == first.scalar_subquery(), free)
        update = chosen.values(status="running", worker=worker, heartbeat=time.time())
        with self._transaction() as connection:
            row = connection.execute(update.returning(*_runs.c)).mappings().one_or_none()
        return _run(row) if row else None

    def append(self, run: int, happened: Sequence[Event], worker: str | None = None) -> Request | None:
        """Write down what happened, in one transaction; returns what somebody wants of the run by now.

        Raises TakenOver, and writes nothing, when `worker` is given and no longer has the run.
        """
        update = sa.update(_runs).where(_runs.c.id == run, _own(worker)).values(progress=_last_progress(happened))
        with self._transaction() as connection:
            found = connection.execute(update.returning(*_runs.c)).mappings().one_or_none()
            if found is None:
                raise TakenOver(f"Run {run} was taken up by another process, because this one was not heard of.")
            event_log.write_events(connection, run, happened)
            return _run(found).request

    def bind(self, run: int, home: str) -> None:
        """Let only workers of the THAW_HOME `home` have the run from now on: its checkpoint is there."""
        with self._transaction() as connection:
            connection.execute(sa.update(_runs).where(_runs.c.id == run).values(home=home))

    def beat(self, run: int, worker: str) -> bool:
        """Say that `worker` is at work on the run; False when the run is no longer its own."""
        own = sa.update(_runs).where(_runs.c.id == run, _own(worker))
        with self._transaction() as connection:
            return connection.execute(own.values(heartbeat=time.time())).rowcount == 1

    def end(
        self,
        run: int,
        status: Status,
        worker: str | None = None,
        *,
        seconds: float | None = None,
        message: str | None = None,
        traceback: str = "",
    ) -> None:
        """Close a live run, or lay it aside. One that has ended already, or that `worker` lost, stays as it is.

        Without `seconds`, those that are known stay.
        """
        values: dict[str, Any] = {"status": status, "message": message, "traceback": traceback or None}
        values |= {} if seconds is None else {"seconds": seconds}
        update = sa.update(_runs).where(_runs.c.id == run, _runs.c.status.in_(LIVE), _own(worker))
        with self._transaction() as connection:
            connection.execute(update.values(progress=None, **values))

    def give_back(self, run: Run) -> bool:
        """Put a run whose worker is lost at the front of the queue; False when another process did something first."""
        lost = sa.update(_runs).where(_runs.c.id == run.id, _own(run.worker))
        first = sa.select(sa.func.min(_runs.c.place)).scalar_subquery()
        back = lost.values(status="queued", place=sa.func.coalesce(first, 0) - 1, losses=_runs.c.losses + 1)
        with self._transaction() as connection:
            return connection.execute(back.values(progress=None)).rowcount == 1

    # What people ask for.

    def request_stop(self, run: int) -> None:
        """Ask whoever works on a run to stop; a run that nobody works on is stopped at once."""
        self._request(run, "stopped", ALLOWED["stop"], stop_requested=True)

    def request_pause(self, run: int) -> None:
        """Ask whoever works on a run to lay it aside; a run that waits is laid aside at once."""
        self._request(run, "paused", ALLOWED["pause"], pause_requested=True)

    def _request(self, run: int, at_once: Status, allowed: frozenset[Status], **wish: bool) -> None:
        this = sa.update(_runs).where(_runs.c.id == run)
        with self._transaction() as connection:
            # In this order: a run that is claimed in between is then held, and hears of the wish.
            connection.execute(this.where(_runs.c.status.in_(allowed - {"running"})).values(status=at_once))
            connection.execute(this.where(_HELD).values(**wish))

    def resume(self, run: int, epochs: int | None = None) -> None:
        """Put a run that is not live at the end of the queue again, to go on from where it was.

        A finished one goes on with more `epochs` in all. Raises UnknownRun, or NotNow when there is nothing to go on.
        """
        known = self.run(run)
        epochs = known.recipe.epochs if epochs is None else epochs
        if known.status not in ALLOWED["resume"]:
            raise NotNow(f"Run {run} is {known.status}; there is nothing to resume.")
        if epochs < known.recipe.epochs or (known.status == "finished" and epochs == known.recipe.epochs):
            raise NotNow(
                f"Run {run} has {known.recipe.epochs} epochs and is {known.status}; to go on, give it more of them."
            )
        recipe = parse(to_settings(known.recipe) | {"epochs": epochs})
        fresh = {"stop_requested": False, "pause_requested": False, "message": None, "traceback": None, "losses": 0}
        this = sa.update(_runs).where(_runs.c.id == run, _runs.c.status == known.status)
        update = this.values(status="queued", place=_last_place(), recipe=to_settings(recipe), **fresh)
        with self._transaction() as connection:
            connection.execute(update)

    def waiting(self, home: str | None = None) -> list[int]:
        """The numbers of the queued runs, the next one first; with a `home`, those that its workers may have."""
        mine = sa.true() if home is None else _of_home(home)
        query = sa.select(_runs.c.id).where(_WAITING, mine).order_by(*_FRONT)
        with self._transaction() as connection:
            return list(connection.execute(query).scalars())

    def move(self, run: int, to: int) -> None:
        """Give a queued run the place `to` (from 0) in the queue; of a run that no longer waits, nothing."""
        order = [other for other in self.waiting() if other != run]
        order.insert(to, run)
        with self._transaction() as connection:
            for place, number in enumerate(order):
                connection.execute(sa.update(_runs).where(_runs.c.id == number, _WAITING).values(place=place))

    def label(self, run: int, **labels: Unpack[Annotations]) -> None:
        """Change the labels that are given."""
        values = {key: list(value) if isinstance(value, tuple) else value for key, value in labels.items()}
        with self._transaction() as connection:
            connection.execute(sa.update(_runs).where(_runs.c.id == run).values(**values))

    def delete(self, runs: Sequence[int]) -> None:
        """Take runs that are not live out of all lists; `undelete` brings them back, `purge` forgets them."""
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        ended = sa.update(_runs).where(_runs.c.id.in_(runs), _runs.c.status.not_in(LIVE))
        with self._transaction() as connection:
            connection.execute(ended.values(deleted=now))

    def undelete(self, runs: Sequence[int]) -> None:
        """Bring deleted runs back."""
        with self._transaction() as connection:
            connection.execute(sa.update(_runs).where(_runs.c.id.in_(runs)).values(deleted=None))

    def purge(self, seconds: float, home: str | None = None) -> list[int]:
        """Forget what was deleted more than so many seconds ago, but for runs that are bound to another THAW_HOME.

        Returns the numbers of the forgotten runs, for their files to be deleted.
        """
        before = dt.datetime.now(dt.UTC).replace(tzinfo=None) - dt.timedelta(seconds=seconds)
        query = sa.select(_runs.c.id).where(_runs.c.deleted < before, _of_home(home))
        with self._transaction() as connection:
            gone = list(connection.execute(query).scalars())
            for table, column in ((_steps, _steps.c.run), (_events, _events.c.run), (_runs, _runs.c.id)):
                connection.execute(sa.delete(table).where(column.in_(gone)))
        return gone

    # What readers want.

    def run(self, run: int) -> Run:
        """The run of that number. Raises UnknownRun."""
        row = None
        if run < 2**31:  # Beyond it, a number from an address bar fits into no database's integer.
            query = sa.select(_runs).where(_runs.c.id == run, _runs.c.deleted.is_(None))
            with self._transaction() as connection:
                row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise UnknownRun(f"There is no run {run}; the list of runs shows which there are.")
        return _run(row)

    def runs(self, status: Status | None = None) -> list[Run]:
        """All runs, or those of one status, the newest first."""
        query = sa.select(_runs).where(_runs.c.deleted.is_(None)).order_by(_runs.c.id.desc())
        if status:
            query = query.where(_runs.c.status == status)
        with self._transaction() as connection:
            return [_run(row) for row in connection.execute(query).mappings()]

    def events(self, run: int, after: int = 0) -> list[tuple[int, Event]]:
        """Row number and event of all but steps and progress, those with a row number above `after`."""
        query = sa.select(_events).where(_events.c.run == run, _events.c.id > after).order_by(_events.c.id)
        with self._transaction() as connection:
            rows = connection.execute(query).mappings().all()
        return [(row["id"], events.from_dict(row["name"], row["values"])) for row in rows]

    def steps(self, run: int, after: int = 0) -> NDArray[np.float64]:
        """The steps of a run in order, those numbered above `after`: an array (steps, columns of STEP_COLUMNS).

        Numbers and not events, because a run may have a hundred thousand steps.
        """
        columns = [_steps.c[name] for name in STEP_COLUMNS]
        query = sa.select(*columns).where(_steps.c.run == run, _steps.c.step > after).order_by(_steps.c.step)
        with self._transaction() as connection:
            cursor = connection.execute(query).cursor
            assert cursor is not None
            rows = cursor.fetchall()  # SQLAlchemy's own rows would take as long again.
        values = np.fromiter(chain.from_iterable(rows), np.float64, count=len(rows) * len(STEP_COLUMNS))
        return values.reshape(-1, len(STEP_COLUMNS))


def open_store() -> Store:
    """The store of THAW_DATABASE_URL, or else of the SQLite file in THAW_HOME. Raises StoreUnavailable."""
    file = sa.URL.create("sqlite", database=str(thaw_home() / "thaw.sqlite"))
    return Store(settings().database_url or file)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
        raise StoreUnavailable(
            f"THAW_DATABASE_URL names no database that can be used ({error}). It looks like "
            "postgresql+psycopg://user:password@host/database, and the package `psycopg[binary]` must be installed."
        ) from error
    except sa.exc.OperationalError as error:
        raise StoreUnavailable(
            f"The database of runs cannot be used now ({error.orig}). Close other programs that hold it, free some "
            "space on its disk, or start its server, and try again."
        ) from error


def _run(row: Any) -> Run:
    values = {field: row[field] for field in Run.__dataclass_fields__}
    progress = Progress(**row["progress"]) if row["progress"] else None
    return Run(**{**values, "recipe": parse(row["recipe"]), "progress": progress, "tags": tuple(row["tags"])})


def _own(worker: str | None) -> sa.ColumnElement[bool]:
    """That `worker` is at work on the run; anything, where none is named."""
    return sa.true() if worker is None else sa.and_(_HELD, _runs.c.worker == worker)


def _of_home(home: str | None) -> sa.ColumnElement[bool]:
    """That the run is bound to no THAW_HOME, or to this one."""
    return sa.or_(_runs.c.home.is_(None), _runs.c.home == home)


def _last_place() -> sa.ColumnElement[float]:
    return sa.func.coalesce(sa.select(sa.func.max(_runs.c.place)).scalar_subquery(), 0) + 1


def _last_progress(happened: Sequence[Event]) -> dict[str, Any] | None:
    """The stage that is under way, None once something else has happened."""
    last = happened[-1] if happened else None
    return events.to_dict(last) if isinstance(last, Progress) else None
