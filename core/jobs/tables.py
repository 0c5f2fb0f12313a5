"""The store's tables, and how a database is opened: made when it is new, given what it lacks when it is older."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import sqlalchemy as sa
from filelock import FileLock

from core.jobs.run import STEP_COLUMNS

LOCK = 0x7468_6177
"""PostgreSQL's advisory lock for making tables: any number that no other program takes ("thaw" in ASCII)."""

_tables = sa.MetaData()
runs = sa.Table(
    "runs",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("status", sa.String(10), nullable=False, index=True),
    sa.Column("recipe", sa.JSON, nullable=False),
    sa.Column("created", sa.DateTime, nullable=False),
    sa.Column("place", sa.Float),
    sa.Column("worker", sa.String(200)),
    sa.Column("heartbeat", sa.Float),
    sa.Column("home", sa.String(40)),
    sa.Column("losses", sa.Integer, nullable=False, server_default="0"),
    sa.Column("stop_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("pause_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("progress", sa.JSON(none_as_null=True)),
    sa.Column("best_epoch", sa.Integer),
    sa.Column("best_loss", sa.Float),
    sa.Column("best_accuracy", sa.Float),
    sa.Column("seconds", sa.Float),
    sa.Column("message", sa.Text),
    sa.Column("traceback", sa.Text),
    sa.Column("name", sa.String(200), nullable=False, server_default=""),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("tags", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("starred", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("deleted", sa.DateTime),
    sqlite_autoincrement=True,
)
events = sa.Table(
    "events",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run", sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("values", sa.JSON, nullable=False),
    sqlite_autoincrement=True,
)
steps = sa.Table(
    "steps",
    _tables,
    sa.Column("run", sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    *(sa.Column(name, sa.Float, nullable=False) for name in STEP_COLUMNS[2:]),
)


def connect(url: str | sa.URL) -> sa.Engine:
    """The database at `url` with all tables in it. Raises sqlalchemy.exc.OperationalError when it cannot be opened."""
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
    with _alone(engine.url), engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        _tables.create_all(connection)
        for table in _tables.sorted_tables:
            _add_missing_columns(connection, table)
    return engine


def _add_missing_columns(connection: sa.Connection, table: sa.Table) -> None:
    """Bring a table that an earlier version of Thaw made up to date."""
    there = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
    for column in table.columns:
        if column.name not in there:
            definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
            connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {definition}"))


def _alone(url: sa.URL) -> AbstractContextManager[object]:
    """A lock for the opening of a SQLite file: turning a new one to WAL waits for nobody, but fails at once."""
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return FileLock(f"{url.database}.lock") if is_file else nullcontext()


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Readers do not block the writer (WAL), whoever meets a lock waits up to 10 s, and what is written is on the disk.

    So a power cut never leaves a checkpoint without the history that leads to it.
    """
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
