"""The databases that the store is tested on."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

POSTGRES = os.environ.get("THAW_TEST_POSTGRES", "")
"""A server's URL, such as postgresql+psycopg://user:password@localhost/postgres; each test makes a database in it."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A new database."""
    if request.param == "sqlite":
        yield f"sqlite:///{(tmp_path / 'runs.sqlite').as_posix()}"
        return
    if not POSTGRES:
        pytest.skip("THAW_TEST_POSTGRES names no PostgreSQL server")
    name = f"thaw_{uuid.uuid4().hex}"
    server = sa.create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield server.url.set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()
