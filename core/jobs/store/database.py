"""A handle on the database: transactions, errors as sentences, and its schema brought up to date when it is opened."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa

from core.errors import BadSettings, Fault, Outdated, StoreUnavailable
from core.home import thaw_home
from core.jobs.migrations.migrate import HEAD, bring_up_to_date, revision_of
from core.messages import Message
from core.settings import settings, variable, without_password

PATIENCE = 600.0
"""Seconds for which a worker waits for a database that cannot be written."""
TRY_AGAIN = 1.0
"""Seconds between two tries to write it."""

Result = TypeVar("Result")


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
