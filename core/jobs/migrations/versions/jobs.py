"""Jobs of all kinds get a table of their own; a run keeps its number and becomes the face of a job that trains."""

import uuid
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "jobs"
down_revision = "baseline"

MOVED = (
    *("status", "created", "place", "worker", "heartbeat", "home", "losses", "stop_requested", "pause_requested"),
    *("progress", "seconds", "traceback"),
)
"""Columns of runs that jobs have from now on, under the same names."""
STANDING = ("queued", "running", "finished")


def upgrade() -> None:
    """Make a job of every run, and leave to runs what is theirs."""
    connection = op.get_bind()
    last_numbers = _last_numbers(connection)
    _make_jobs()
    op.drop_index("ix_runs_status", "runs", if_exists=True)
    op.add_column("runs", sa.Column("job", sa.String(32)))
    _fill_jobs(connection)
    with op.batch_alter_table("runs", table_kwargs={"sqlite_autoincrement": True}) as runs:
        for column in (*MOVED, "recipe", "message"):
            runs.drop_column(column)
        runs.alter_column("job", existing_type=sa.String(32), nullable=False)
        runs.create_foreign_key("fk_runs_job", "jobs", ["job"], ["id"])
        runs.create_unique_constraint("uq_runs_job", ["job"])
    for table, number in last_numbers:  # The table was made anew, and would give numbers of deleted runs again.
        update = sa.text("UPDATE sqlite_sequence SET seq = :number WHERE name = :table")
        connection.execute(update, {"number": number, "table": table})
        if connection.execute(sa.text("SELECT changes()")).scalar() == 0:
            insert = sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :number)")
            connection.execute(insert, {"number": number, "table": table})


def _last_numbers(connection: sa.Connection) -> list[tuple[str, int]]:
    """The last number that SQLite has given in each table; PostgreSQL keeps its own."""
    if connection.dialect.name != "sqlite":
        return []
    rows = connection.execute(sa.text("SELECT name, seq FROM sqlite_sequence WHERE name = 'runs'"))
    return [(row.name, row.seq) for row in rows]


def _make_jobs() -> None:
    jobs = op.create_table(
        "jobs",
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
        sa.Column("parent", sa.String(32), sa.ForeignKey("jobs.id", name="fk_jobs_parent")),
    )
    standing = jobs.c.status.in_(sorted(STANDING))
    op.create_index(
        "ix_jobs_shared", "jobs", ["shared_key"], unique=True, sqlite_where=standing, postgresql_where=standing
    )


def _fill_jobs(connection: sa.Connection) -> None:
    """A row of jobs for each row of runs. The message becomes a template without values."""
    types: dict[str, Any] = {"created": sa.DateTime, "progress": sa.JSON(none_as_null=True)}

    def table(name: str, **others: Any) -> sa.TableClause:
        columns = {**{column: types.get(column) for column in MOVED}, **others}
        return sa.table(name, *(sa.column(column, kind) for column, kind in columns.items()))

    old = table("runs", id=sa.Integer, job=sa.String, recipe=sa.JSON, message=sa.Text)
    new = table(
        "jobs", id=sa.String, kind=sa.String, lane=sa.String, arguments=sa.JSON, message=sa.JSON(none_as_null=True)
    )
    for row in connection.execute(sa.select(old)).mappings().all():
        job = uuid.uuid4().hex
        message = row["message"] and {"one": row["message"], "many": None, "values": {}}
        same = {name: row[name] for name in MOVED}
        values = {
            "id": job,
            "kind": "train",
            "lane": "training",
            "arguments": row["recipe"],
            "message": message or None,
        }
        connection.execute(sa.insert(new).values(**same, **values))
        connection.execute(sa.update(old).where(old.c.id == row["id"]).values(job=job))
