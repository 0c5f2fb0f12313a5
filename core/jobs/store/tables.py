"""The store's tables as they are now. `core/jobs/migrations` brings databases of earlier versions to this shape."""

import sqlalchemy as sa

from core.jobs.job import LIVE, STEP_COLUMNS

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
