"""A run has the epoch whose weights were kept, counts of right answers, its test, and the preset it began from.

The children of a job are found by an index.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "figures"
down_revision = "jobs"

ADDED = (
    sa.Column("val_right", sa.Integer),
    sa.Column("val_images", sa.Integer),
    sa.Column("balanced_accuracy", sa.Float),
    sa.Column("zeros", sa.Float),
    sa.Column("test", sa.JSON(none_as_null=True)),
    sa.Column("preset", sa.JSON(none_as_null=True)),
)
EXACT = 1e-4
"""How far an accuracy may be from right / images: it was a mean of single-precision numbers."""


def upgrade() -> None:
    """Rename what was called best, and turn accuracies into counts."""
    op.alter_column("runs", "best_epoch", new_column_name="kept_epoch")
    for column in ADDED:
        op.add_column("runs", column)
    op.create_index("ix_jobs_parent", "jobs", ["parent"])
    _count(op.get_bind())
    op.drop_column("runs", "best_loss")
    op.drop_column("runs", "best_accuracy")


def _count(connection: sa.Connection) -> None:
    """From the accuracy of each run, and how many validation pictures it said it had, how many answers were right."""
    runs = sa.table("runs", *map(sa.column, ("id", "kept_epoch", "best_accuracy", "val_right", "val_images")))
    measured = sa.select(runs.c.id, runs.c.kept_epoch, runs.c.best_accuracy).where(runs.c.best_accuracy.is_not(None))
    for run, epoch, accuracy in connection.execute(measured).all():
        images = _images_of(connection, run, epoch)
        right = round(accuracy * images)
        if images and abs(accuracy - right / images) < EXACT:
            update = sa.update(runs).where(runs.c.id == run)
            connection.execute(update.values(val_right=right, val_images=images))


def _images_of(connection: sa.Connection, run: int, epoch: int) -> int:
    """How many validation pictures the run had in that epoch; 0 where it did not say so."""
    columns: tuple[sa.ColumnClause[Any], ...] = (sa.column("name"), sa.column("values", sa.JSON))
    events = sa.table("events", sa.column("id"), sa.column("run"), *columns)
    told = events.c.name.in_(("run_started", "epoch_ended"))
    images = 0
    query = sa.select(*columns).select_from(events).where(events.c.run == run, told).order_by(events.c.id)
    for name, values in connection.execute(query):
        if name == "run_started":
            images = int(values["val_images"])
        elif values["epoch"] == epoch:
            break
    return images
