"""The database: its tables as they are now, and a handle on it with transactions and errors as sentences.

Databases of earlier versions are brought to this shape when they are opened (`core.jobs.migrations`).
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa

from core.errors import BadSettings, Fault, Outdated, StoreUnavailable
from core.home import thaw_home
from core.jobs.job import LIVE, STEP_COLUMNS
from core.jobs.migrations.migrate import HEAD, bring_up_to_date, revision_of
from core.messages import Message
from core.settings import settings, variable, without_password

PATIENCE = 600.0
"""Seconds for which a worker waits for a database that cannot be written."""
TRY_AGAIN = 1.0
"""Seconds between two tries to write it."""

Result = TypeVar("Result")

tables = sa.MetaData()
jobs = sa.Table(
    "jobs",
    tables,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("lane", sa.String(10), nullable=False),
    sa.Column("arguments", sa.JSON, nullable=False),
    sa.Column("status", sa.String(10), nullable=False, index=True),
    sa.Column("place", sa.Float),
    sa.Column("created", sa.DateTime, nullable=False),
    sa.Column("home", sa.String(40)),
    sa.Column("worker", sa.String(200)),
    sa.Column("heartbeat", sa.Float),
    sa.Column("losses", sa.Integer, nullable=False, server_default="0"),
    sa.Column("stop_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("pause_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("progress", sa.JSON(none_as_null=True)),
    sa.Column("seconds", sa.Float),
    sa.Column("message", sa.JSON(none_as_null=True)),
    sa.Column("traceback", sa.Text),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("about", sa.Text, index=True),
    sa.Column("shared_key", sa.String(64)),
    sa.Column("parent", sa.ForeignKey("jobs.id", name="fk_jobs_parent"), index=True),
)
SHARED = jobs.c.status.in_(sorted({*LIVE, "finished"}))
"""In these states a job of a shared kind stands for all requests like it: what failed or was stopped is done anew."""
sa.Index("ix_jobs_shared", jobs.c.shared_key, unique=True, sqlite_where=SHARED, postgresql_where=SHARED)

runs = sa.Table(
    "runs",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("job", sa.String(32), sa.ForeignKey("jobs.id", name="fk_runs_job"), nullable=False),
    sa.Column("kept_epoch", sa.Integer),
    sa.Column("name", sa.String(200), nullable=False, server_default=""),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("tags", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("starred", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("deleted", sa.DateTime),
    sa.Column("val_right", sa.Integer),
    sa.Column("val_images", sa.Integer),
    sa.Column("balanced_accuracy", sa.Float),
    sa.Column("zeros", sa.Float),
    sa.Column("test", sa.JSON(none_as_null=True)),
    sa.Column("preset", sa.JSON(none_as_null=True)),
    sa.UniqueConstraint("job", name="uq_runs_job"),
    sqlite_autoincrement=True,
)
events = sa.Table(
    "events",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run", sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("values", sa.JSON, nullable=False),
    sqlite_autoincrement=True,
)
steps = sa.Table(
    "steps",
    tables,
    sa.Column("run", sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    *(sa.Column(name, sa.Float, nullable=False) for name in STEP_COLUMNS[2:]),
)


class Database:
    """The database at `url`; safe to share between threads, and any number of handles may be open.

    Everything raises StoreUnavailable when the database cannot be reached, is locked for long, or its disk is full;
    and Outdated when another version of Thaw has changed its schema since it was opened. Opening it raises BadSettings
    when there can be no such database.
    """

    def __init__(self, url: str | sa.URL) -> None:
        with _in_words(), _as_setting(url):
            self._engine = sa.create_engine(url)
            if self._engine.dialect.name == "sqlite":
                sa.event.listen(self._engine, "connect", _prepare_sqlite)
            try:
                bring_up_to_date(self._engine)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A connection whose changes are all written at the end, or none of them."""
        with _in_words(), self._engine.begin() as connection:
            _demand_newest(connection)
            yield connection
            # SQLite's first answer may be old by now. This one holds: nobody else writes until the commit.
            if getattr(connection.connection.dbapi_connection, "in_transaction", False):
                _demand_newest(connection)


def open_database() -> Database:
    """The database of THAW_DATABASE_URL, or else the SQLite file in THAW_HOME."""
    home = thaw_home()
    return Database(settings().database_url or sa.URL.create("sqlite", database=str(home / "thaw.sqlite")))


def retry_while_unavailable(act: Callable[[], Result]) -> Result:
    """What `act` gives once it succeeds: nothing is lost while the database is locked, full or away.

    Raises StoreUnavailable when it has not for PATIENCE seconds, and Outdated at once.
    """
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            return act()
        except Outdated:
            raise
        except StoreUnavailable as error:
            if time.monotonic() > give_up:
                raise
            print(f"waiting: {error}", flush=True)
            threading.Event().wait(TRY_AGAIN)


def _demand_newest(connection: sa.Connection) -> None:
    if revision_of(connection) != HEAD:
        raise Outdated("Another version of Thaw has changed the database. Start this program again.")


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except sa.exc.OperationalError as error:
        raise StoreUnavailable(
            "The database of runs cannot be used now ({cause}). Close other programs that hold it, free some "
            "space on its disk, or start its server, and try again.",
            cause=str(error.orig),
        ) from error


@contextmanager
def _as_setting(url: str | sa.URL) -> Iterator[None]:
    """An address that cannot be one, or whose package is not installed, is a setting that is wrong."""
    try:
        yield
    except (sa.exc.ArgumentError, sa.exc.ProgrammingError, ImportError, ValueError, TypeError) as error:
        # Python's own errors may quote a part of the password.
        cause = (
            "it cannot be read"
            if isinstance(error, ValueError | TypeError)
            else str(getattr(error, "orig", error)).partition("\n")[0]
        )
        advice = Message(
            "names no database that can be used ({cause}). It looks like "
            "postgresql+psycopg://user:password@host/database, and the package `psycopg[binary]` must be installed",
            cause=cause,
        )
        raise BadSettings([Fault(variable("database_url"), without_password(str(url)), advice)]) from error
    except sa.exc.OperationalError:
        raise
    except sa.exc.DatabaseError as error:  # The file is something else, or damaged.
        template = "The database of runs ({address}) cannot be used ({cause}). Name another one, or put back a copy."
        address = without_password(str(url))
        raise StoreUnavailable(template, address=address, cause=str(error.orig)) from error


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Readers do not block the writer (WAL), a locked file is waited for 10 s, and what is written is on the disk.

    So a power cut never leaves a checkpoint without the history that leads to it.
    """
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
