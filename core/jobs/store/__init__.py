"""The store: the truth about every job and every run, and the only SQL."""

from dataclasses import dataclass

import sqlalchemy as sa

from core.jobs.store.database import Database, open_database
from core.jobs.store.queue import Queue
from core.jobs.store.runs import Runs


@dataclass(frozen=True)
class Store:
    """A handle on one database: its queue of jobs, and its runs."""

    database: Database
    jobs: Queue
    runs: Runs


def store_in(database: Database) -> Store:
    """The store that lies in `database`."""
    return Store(database, Queue(database), Runs(database))


def store_at(url: str | sa.URL) -> Store:
    """The store in the database at `url`. Raises BadSettings or StoreUnavailable."""
    return store_in(Database(url))


def open_store() -> Store:
    """The store of THAW_DATABASE_URL, or else of the SQLite file in THAW_HOME.

    Raises BadSettings or StoreUnavailable.
    """
    return store_in(open_database())
