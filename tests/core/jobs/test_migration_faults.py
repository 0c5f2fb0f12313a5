"""A database that cannot be brought up to date stays exactly as it was, and a sentence says why."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.errors import Outdated, StoreUnavailable
from core.events import StepEnded
from core.jobs.drive import drive
from core.jobs.migrations import migrate
from core.jobs.process import process_id
from core.jobs.store import open_store, store_at
from core.jobs.store.database import jobs
from tests.conftest import MakeFolder, small_recipe
from tests.core.jobs.old_homes import unpack_old_home

STEP = """

_whole = upgrade


def upgrade() -> None:
    _whole()
    {more}
"""


@pytest.fixture
def old_file(thaw_home: Path) -> Iterator[Path]:
    """The database of an old home, which must be the same at the end of the test."""
    unpack_old_home(thaw_home)
    file = thaw_home / "thaw.sqlite"
    before = dump(file)
    yield file
    assert dump(file) == before


def dump(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as database:
        return list(database.iterdump())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "op.execute('DELETE FROM events WHERE id = (SELECT max(id) FROM events)')",
            "rows lost: events 1; references broken: 0",
        ),
        (
            "op.execute('DELETE FROM steps'); op.execute('DELETE FROM runs')",
            "rows lost: runs 3, steps 36; references broken: 28",
        ),
        ("op.execute('DELETE FROM jobs')", "rows lost: none; references broken: 3"),
        ("raise KeyError('somewhere in the middle')", "somewhere in the middle"),
        ("op.execute('CREATE TABLE half (x)'); op.execute('SELECT nothing')", 'near "nothing"'),
    ],
)
def test_a_step_that_loses_something_or_fails_changes_nothing(
    old_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, said: str
) -> None:
    steps = Path(shutil.copytree(Path(migrate.__file__).parent, tmp_path / "migrations"))
    with (steps / "versions" / "jobs.py").open("a", encoding="utf-8") as step:
        step.write(STEP.format(more=more))
    with monkeypatch.context() as broken:
        broken.setattr(migrate, "__file__", str(steps / "migrate.py"))
        with pytest.raises(StoreUnavailable) as raised:
            open_store()
    assert said in str(raised.value)
    assert dump(Path(f"{old_file}.before-{migrate.HEAD}")) == dump(old_file)


def test_no_copy_no_change(old_file: Path) -> None:
    Path(f"{old_file}.before-{migrate.HEAD}").mkdir()
    with pytest.raises(StoreUnavailable, match="It is as it was"):
        open_store()


def test_a_locked_old_database_is_an_error_in_words(old_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout=1")

    monkeypatch.setattr(migrate, "_prepare", prepare)
    with closing(sqlite3.connect(old_file)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="database is locked"):
            open_store()
        other.rollback()


def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    store_at(database_url).database.close()
    set_revision(database_url, "from the future")
    with pytest.raises(StoreUnavailable, match="A newer version of Thaw has made this database; update Thaw"):
        store_at(database_url)
    set_revision(database_url, migrate.HEAD)
    store_at(database_url).database.close()


def set_revision(database_url: str, revision: str) -> None:
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.update(migrate.VERSION).values(version_num=revision))
    engine.dispose()


def test_a_run_whose_database_another_version_changes_writes_nothing_more(
    database_url: str, make_folder: MakeFolder
) -> None:
    store = store_at(database_url)
    run = store.runs.start(small_recipe(make_folder(a=8, b=8), epochs=500), process_id())
    happened = drive(store, run.job)
    changed = next(event for event in happened if isinstance(event, StepEnded)).step
    set_revision(database_url, "another")
    with pytest.raises(Outdated, match="Start this program again"):
        list(happened)
    with pytest.raises(Outdated):
        store.runs.request_stop(run.id)
    set_revision(database_url, migrate.HEAD)
    assert len(store.runs.steps(run.id)) <= changed
    assert store.runs.get(run.id).status == "running"
    store.database.close()


def test_what_was_begun_before_the_change_is_not_written_after_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.sqlite'}"
    store = store_at(url)
    job = store.jobs.submit("inspect", "light", {})

    def forget_all() -> None:
        with store.database.transaction() as connection:
            set_revision(url, "another")  # In the blink between the look and the writing.
            connection.execute(sa.delete(jobs))

    with pytest.raises(Outdated):
        forget_all()
    set_revision(url, migrate.HEAD)
    assert store.jobs.get(job.id) == job
    store.database.close()
