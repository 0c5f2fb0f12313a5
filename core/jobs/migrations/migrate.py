"""Bring a database to the schema of this version of Thaw, or leave it as it is.

The steps are Alembic's, in `versions/`, in one transaction. SQLite gets a copy of its file first, and what a step
forgets or breaks (rows that are missing afterwards, references to nothing) undoes the whole. No worker may write
meanwhile: one that trains is waited for, one that idles is ended.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock

from core.errors import StoreBusy, StoreUnavailable, ThawError
from core.home import thaw_home
from core.jobs import process

HEAD = "figures"
"""The newest revision in `versions/`."""
OLDER = ("baseline", "jobs")
"""Those before it."""
LOCK = 0x7468_6177
"""PostgreSQL's advisory lock for changing tables: any number that no other program takes ("thaw" in ASCII)."""
SILENCE = 600.0
"""Seconds without a heartbeat after which the worker of another machine counts as gone; clocks differ a little."""
VERSION = sa.table("alembic_version", sa.column("version_num"))


def revision_of(connection: sa.Connection) -> str | None:
    """The revision of the schema, of a database that was migrated once."""
    return connection.execute(sa.select(VERSION.c.version_num)).scalar()


def bring_up_to_date(engine: sa.Engine) -> None:
    """Make the tables of a new database, or change those of an older one.

    Raises StoreBusy while a worker of another version trains, StoreUnavailable when a newer version made the database.
    """
    with _alone(engine.url):
        with engine.connect() as connection:
            known = _revision_if_any(connection)
        if known == HEAD:
            return
        if known not in (None, *OLDER):
            raise StoreUnavailable("A newer version of Thaw has made this database; update Thaw, and try again.")
        with _migrating(engine) as connection:
            if _revision_if_any(connection) != HEAD:
                _end_other_workers(connection)
                try:
                    _copy(engine.url)
                    _upgrade(connection)
                except (ThawError, sa.exc.OperationalError):
                    raise
                except Exception as error:
                    raise StoreUnavailable(
                        "The database of runs could not be brought up to date ({cause}). It is as it was. Free some "
                        "space on its disk, and try again; if that does not help, please report this.",
                        cause=str(error),
                    ) from error


def _alone(url: sa.URL) -> AbstractContextManager[object]:
    """A lock for the opening of a SQLite file: turning a new one to WAL waits for nobody, but fails at once."""
    return FileLock(f"{url.database}.lock") if _is_file(url) else nullcontext()


def _is_file(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")


def _revision_if_any(connection: sa.Connection) -> str | None:
    return revision_of(connection) if sa.inspect(connection).has_table(VERSION.name) else None


def _copy(url: sa.URL) -> None:
    """Keep the SQLite file as it is now beside it, under the name of the revision that it gets.

    Nobody writes meanwhile: the caller's transaction has begun, and has changed nothing. Raises sqlite3.Error.
    """
    if not _is_file(url):
        return
    file = Path(str(url.database))
    with closing(sqlite3.connect(file)) as old:
        if not old.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return
        with closing(sqlite3.connect(f"{file}.before-{HEAD}")) as new:
            old.backup(new)


@contextmanager
def _migrating(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction in which tables can be rebuilt, closed to all others.

    On SQLite, foreign keys are off: with them on, replacing a table deletes what refers to it. They are set before the
    transaction, inside of which SQLite ignores the setting.
    """
    own = sa.create_engine(engine.url, poolclass=sa.NullPool)
    if own.dialect.name == "sqlite":
        sa.event.listen(own, "connect", _prepare)
        sa.event.listen(own, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with own.begin() as connection:
        if own.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            for table in sa.inspect(connection).get_table_names():
                connection.execute(sa.text(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE'))
        yield connection


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # Python's driver would end the transaction at every change of a table.
    for pragma in ("busy_timeout=10000", "foreign_keys=OFF"):
        connection.execute(f"PRAGMA {pragma}")


def _end_other_workers(connection: sa.Connection) -> None:
    """End the workers of this THAW_HOME that idle. Raises StoreBusy while one is at work."""
    for run, worker, beat in _work_going_on(connection):
        gone = process.is_gone(worker)
        if gone is False or (gone is None and time.time() - (beat or 0.0) < SILENCE):
            if run is None:
                raise StoreBusy(
                    "An earlier version of Thaw is at work on pictures. The database is brought up to date when it "
                    "is done; everything is kept."
                )
            raise StoreBusy(
                "Run {run} is being trained by an earlier version of Thaw. The database is brought up to date when "
                "that run has ended; everything is kept.",
                run=run,
            )
    locks = (lock for lane in ("worker", "light") for lock in thaw_home().glob(f"{lane}-*.lock"))
    for idle in process.holders(sorted(locks)):
        process.end(idle)


def _work_going_on(connection: sa.Connection) -> list[Any]:
    """Number of the run (None for other work), worker and heartbeat of all that is being worked on."""
    there = sa.inspect(connection)
    if there.has_table("jobs"):
        jobs = sa.table("jobs", *map(sa.column, ("id", "status", "worker", "heartbeat")))
        runs = sa.table("runs", sa.column("id"), sa.column("job"))
        query = sa.select(runs.c.id, jobs.c.worker, jobs.c.heartbeat)
        query = query.select_from(jobs.outerjoin(runs, runs.c.job == jobs.c.id))
        held = query.where(jobs.c.status == "running", jobs.c.worker.is_not(None))
        return list(connection.execute(held))
    if not there.has_table("runs"):
        return []
    has_heartbeat = any(column["name"] == "heartbeat" for column in there.get_columns("runs"))
    heartbeat: sa.ColumnElement[Any] = sa.column("heartbeat") if has_heartbeat else sa.null()
    columns: tuple[sa.ColumnElement[Any], ...] = (sa.column("id"), sa.column("worker"), heartbeat)
    query = sa.select(*columns).select_from(sa.table("runs")).where(sa.column("status") == "running")
    return list(connection.execute(query.where(sa.column("worker").is_not(None))))


def _upgrade(connection: sa.Connection) -> None:
    """Run the steps. Raises StoreUnavailable, and so undoes them, when rows are lost or references broken."""
    from alembic.config import Config  # Imported here: a database that is up to date does without it.
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    steps = ScriptDirectory(str(Path(__file__).parent))
    before = _counts(connection)
    with EnvironmentContext(Config(), steps, fn=lambda known, _: steps._upgrade_revs("head", known)) as alembic:
        alembic.configure(connection=connection, render_as_batch=True)
        alembic.run_migrations()
    after = _counts(connection)
    lost = {table: count - after[table] for table, count in before.items() if table in after and count != after[table]}
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all() if connection.dialect.name == "sqlite" else []
    if lost or broken:
        raise StoreUnavailable(
            "The database of runs could not be brought up to date (rows lost: {lost}; references broken: {broken}). "
            "It is as it was; please report this.",
            lost=[f"{table} {count}" for table, count in lost.items()] or "none",
            broken=len(broken),
        )


def _counts(connection: sa.Connection) -> dict[str, int]:
    """The number of rows in every table of Thaw's."""
    return {
        table: connection.execute(sa.select(sa.func.count()).select_from(sa.table(table))).scalar_one()
        for table in sa.inspect(connection).get_table_names()
        if table != VERSION.name
    }
