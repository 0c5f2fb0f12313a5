"""The tables as they were before there were migrations: made in a new database, completed in an older one."""

import sqlalchemy as sa
from alembic import op

revision = "baseline"
down_revision = None

METRICS = ("loss", "cross_entropy", "l1", "l2", "accuracy")

tables = sa.MetaData()
sa.Table(
    "runs",
    tables,
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
sa.Table(
    "events",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run", sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("values", sa.JSON, nullable=False),
    sqlite_autoincrement=True,
)
sa.Table(
    "steps",
    tables,
    sa.Column("run", sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    *(sa.Column(name, sa.Float, nullable=False) for name in ("lr", *METRICS)),
)


def upgrade() -> None:
    """Make the tables that are missing, and the columns that later versions of that time added."""
    connection = op.get_bind()
    tables.create_all(connection)
    for table in tables.sorted_tables:
        there = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {definition}"))
