"""A THAW_HOME that the code before the queue made: after the first opening, everything in it is there."""

import hashlib
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from safetensors.torch import save_file

from core import events, home
from core.data import datasets
from core.data.scan import scan
from core.errors import StoreBusy
from core.figures import Score
from core.jobs import worker
from core.jobs.migrations import migrate
from core.jobs.process import process_id
from core.jobs.store import Store, open_store, store_at
from core.jobs.store.database import tables
from core.messages import Message
from core.recipe_settings import parse, to_settings
from core.training.kept_model import load_model
from tests.core.jobs.old_homes import Expected, same_answers, unpack_old_home, weights_of_old_code
from tests.core.jobs.processes import FORKED, say_into

ROOT = Path(__file__).parents[3]
COPY = f"thaw.sqlite.before-{migrate.HEAD}"
BASELINE = import_module("core.jobs.migrations.versions.baseline")


@pytest.fixture
def old_home(thaw_home: Path) -> Expected:
    return unpack_old_home(thaw_home)


@pytest.fixture
def store(old_home: Expected) -> Iterator[Store]:  # noqa: ARG001
    opened = open_store()
    yield opened
    opened.database.close()


def ask(thaw_home: Path, query: str, file: str = "thaw.sqlite") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(thaw_home / file)) as database:
        return database.execute(query).fetchall()


def rows(thaw_home: Path, file: str = "thaw.sqlite") -> dict[str, int]:
    tables = ("runs", "events", "steps")
    return {table: ask(thaw_home, f"SELECT count(*) FROM {table}", file)[0][0] for table in tables}


def test_all_that_was_in_an_old_home_is_there(old_home: Expected, store: Store, thaw_home: Path) -> None:
    store.runs.undelete([number for number, run in old_home.runs.items() if run.deleted])
    assert [run.id for run in store.runs.all()] == sorted(old_home.runs, reverse=True)
    for number, expected in old_home.runs.items():
        run = store.runs.get(number)
        assert (run.status, run.job.kind, run.job.lane) == (expected.status, "train", "training")
        assert run.recipe == parse(expected.recipe)
        assert run.recipe.batchnorm == "lagging", "what version 1 meant"
        assert (run.name, run.note, run.tags, run.starred) == (
            expected.name,
            expected.note,
            expected.tags,
            expected.starred,
        )
        assert run.kept_epoch == expected.best_epoch
        assert (run.val.share if run.val else None) == pytest.approx(expected.best_accuracy)
        if run.val:
            assert {e.val_images for _, e in store.runs.events(number) if isinstance(e, events.RunStarted)} == {
                run.val.images
            }
        assert (run.balanced_accuracy, run.zeros, run.test, run.preset) == (None, None, None, None)
        assert run.job.seconds == expected.seconds
        assert tuple(events.name(event) for _, event in store.runs.events(number)) == expected.events
        steps = store.runs.steps(number)
        assert (len(steps), steps[:, 3].sum()) == (expected.steps, pytest.approx(expected.sum_of_losses))
        assert hashlib.sha256(home.weights_file(number).read_bytes()).hexdigest() == expected.weights_file
    assert store.runs.queue(run.recipe) == old_home.next_run
    assert rows(thaw_home) == {**old_home.rows, "runs": old_home.rows["runs"] + 1}


def test_a_deleted_run_stays_deleted_until_it_is_brought_back(old_home: Expected, store: Store) -> None:
    there = [number for number, run in old_home.runs.items() if not run.deleted]
    assert sorted(run.id for run in store.runs.all()) == there


@pytest.mark.usefixtures("store")
def test_the_kept_data_set_reads_and_scans(old_home: Expected) -> None:
    expected = old_home.data_set
    data = datasets.read_dataset(expected.folder)
    assert (data.name, data.source) == (expected.name, expected.source)
    assert len(scan(expected.folder).pictures) == expected.pictures
    assert len(datasets.read_index(expected.folder)) == expected.pictures + expected.left_out


@pytest.mark.usefixtures("store")
def test_references_and_numbers_are_kept(old_home: Expected, thaw_home: Path) -> None:
    assert ask(thaw_home, "PRAGMA foreign_key_check") == []
    made = dict(ask(thaw_home, "SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    assert [name for name in ("runs", "events") if "AUTOINCREMENT" in made[name]] == ["runs", "events"]
    assert made["events"].count("ON DELETE CASCADE") == made["steps"].count("ON DELETE CASCADE") == 1
    assert "REFERENCES runs (id)" in made["events"], "a table made anew is not what the other ones refer to"
    numbers = dict(ask(thaw_home, "SELECT name, seq FROM sqlite_sequence"))
    assert {name: numbers[name] for name in old_home.last_numbers} == dict(old_home.last_numbers)


def test_with_foreign_keys_on_the_events_would_have_gone(old_home: Expected, thaw_home: Path) -> None:
    with closing(sqlite3.connect(thaw_home / "thaw.sqlite")) as database:
        database.execute("PRAGMA foreign_keys=ON")
        database.execute("DELETE FROM runs")  # What a batch change of a table comes to.
        assert database.execute("SELECT count(*) FROM events").fetchone() == (0,)
        database.rollback()
    open_store().database.close()
    assert rows(thaw_home) == old_home.rows


def test_a_copy_of_the_file_as_it_was_lies_beside_it(old_home: Expected, thaw_home: Path) -> None:
    before = ask(thaw_home, "SELECT * FROM runs")
    open_store().database.close()
    assert ask(thaw_home, "SELECT * FROM runs", COPY) == before
    assert rows(thaw_home, COPY) == old_home.rows


@pytest.mark.usefixtures("old_home")
def test_opening_again_changes_nothing(thaw_home: Path) -> None:
    open_store().database.close()
    copy = (thaw_home / COPY).stat()
    before = ask(thaw_home, "SELECT * FROM jobs")
    schema = ask(thaw_home, "SELECT * FROM sqlite_master")
    open_store().database.close()
    assert ask(thaw_home, "SELECT * FROM jobs") == before
    assert ask(thaw_home, "SELECT * FROM sqlite_master") == schema
    again = (thaw_home / COPY).stat()
    assert (again.st_ino, again.st_mtime_ns) == (copy.st_ino, copy.st_mtime_ns)


def list_runs(thaw_home: str, start: Barrier, said: Path) -> None:
    """Open the store at the same time as others, and print which runs it has."""
    os.environ["THAW_HOME"] = thaw_home
    say_into(said, 1, 2)
    start.wait(60)
    print([run.id for run in open_store().runs.all()])


@pytest.mark.slow
def test_many_processes_that_open_it_at_once_change_it_once(
    old_home: Expected, thaw_home: Path, tmp_path: Path
) -> None:
    said = [tmp_path / f"said_{number}" for number in range(6)]
    start = FORKED.Barrier(len(said))
    processes = [FORKED.Process(target=list_runs, args=(str(thaw_home), start, file)) for file in said]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert {process.exitcode for process in processes} == {0}
    assert {file.read_text(encoding="utf-8") for file in said} == {"[2, 1]\n"}
    assert ask(thaw_home, "SELECT count(*) FROM jobs") == [(3,)]
    assert rows(thaw_home) == rows(thaw_home, COPY) == old_home.rows


@pytest.mark.usefixtures("old_home")
def test_braces_in_an_old_message_mean_nothing(thaw_home: Path) -> None:
    said = "{name} failed: 100 % of {} {0!r}"
    with closing(sqlite3.connect(thaw_home / "thaw.sqlite")) as database, database:
        database.execute("UPDATE runs SET message = ? WHERE id = 1", (said,))
        values = '{"text": "{count} is {odd"}'
        database.execute("UPDATE events SET \"values\" = ? WHERE run = 1 AND name = 'notice'", (values,))
    store = open_store()
    assert store.runs.get(1).job.message == Message(said)
    assert str(store.runs.get(1).job.message) == said
    (notice,) = [event for _, event in store.runs.events(1) if isinstance(event, events.Notice)]
    assert str(notice.text) == "{count} is {odd"
    store.database.close()


def shape(url: str) -> dict[str, Any]:
    """Columns, references and indexes of all tables."""
    engine = sa.create_engine(url)
    there = sa.inspect(engine)
    found = {
        table: {
            "columns": [{**column, "type": str(column["type"])} for column in there.get_columns(table)],
            "key": there.get_pk_constraint(table),
            "references": sorted(map(str, there.get_foreign_keys(table))),
            "indexes": sorted((index["name"], index["column_names"]) for index in there.get_indexes(table)),
            "rows of indexes": sorted(
                str(one["dialect_options"].get("sqlite_where")) for one in there.get_indexes(table)
            ),
            "unique": sorted(map(str, there.get_unique_constraints(table))),
        }
        for table in there.get_table_names()
    }
    engine.dispose()
    return found


@pytest.mark.usefixtures("store")
def test_a_new_database_and_an_old_one_get_the_same_tables(thaw_home: Path, tmp_path: Path) -> None:
    new = f"sqlite:///{tmp_path / 'new.sqlite'}"
    store_at(new).database.close()
    assert shape(f"sqlite:///{thaw_home / 'thaw.sqlite'}") == shape(new)


def test_the_tables_are_those_of_the_code(database_url: str) -> None:
    store_at(database_url).database.close()
    engine = sa.create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables) == []
    engine.dispose()


def test_the_newest_step_is_the_revision_of_the_code() -> None:
    steps = ScriptDirectory(str(Path(migrate.__file__).parent))
    assert steps.get_heads() == [migrate.HEAD]
    assert Config().config_file_name is None


def test_an_old_database_of_either_kind_is_brought_up_to_date(database_url: str) -> None:
    recipe = to_settings(parse({"data": "photos"}))
    created = sa.func.current_timestamp()
    old = BASELINE.tables.tables
    engine = sa.create_engine(database_url)
    metrics = {"lr": 0.1, "loss": 1.0, "cross_entropy": 1.0, "l1": 0.0, "l2": 0.0, "accuracy": 0.5}
    with engine.begin() as connection:
        BASELINE.tables.create_all(connection)
        for status, message in (("finished", None), ("failed", "{x} broke"), ("queued", None)):
            values = {"status": status, "recipe": recipe, "message": message, "tags": ["a"], "name": status}
            row = sa.insert(old["runs"]).values(**values, created=created, place=3.0).returning(old["runs"].c.id)
            run = connection.execute(row).scalar_one()
            notice = {"run": run, "name": "notice", "values": {"text": "as it was"}}
            connection.execute(sa.insert(old["events"]).values(**notice))
            connection.execute(
                sa.insert(old["steps"]), [{"run": run, "step": n, "epoch": 1, **metrics} for n in (1, 2)]
            )
        connection.execute(sa.delete(old["runs"]).where(old["runs"].c.id == run))  # Its number is not given again.
        connection.execute(sa.delete(old["steps"]).where(old["steps"].c.run == run))
        connection.execute(sa.delete(old["events"]).where(old["events"].c.run == run))
    engine.dispose()
    store = store_at(database_url)
    assert [(run.id, run.status, run.name, run.tags) for run in store.runs.all()] == [
        (2, "failed", "failed", ("a",)),
        (1, "finished", "finished", ("a",)),
    ]
    assert store.runs.get(2).job.message == Message("{x} broke")
    assert [[event for _, event in store.runs.events(run)] for run in (1, 2)] == [
        [events.Notice(Message("as it was"))]
    ] * 2
    assert [len(store.runs.steps(run)) for run in (1, 2)] == [2, 2]
    assert store.runs.queue(store.runs.get(1).recipe) == 4
    store.database.close()


@pytest.fixture
def before_counts(database_url: str) -> sa.Engine:
    """A database from before runs had counts, at the step "jobs", without rows."""
    steps = ScriptDirectory(str(Path(migrate.__file__).parent))
    engine = sa.create_engine(database_url)
    context = EnvironmentContext(Config(), steps, fn=lambda known, _: steps._upgrade_revs("jobs", known))
    with engine.begin() as connection, context as alembic:
        alembic.configure(connection=connection)
        alembic.run_migrations()
    return engine


def add_run(engine: sa.Engine, best: tuple[int, float] | None, *said: tuple[str, dict[str, Any]], **job: Any) -> None:
    """A run as that version wrote it, with its best epoch and accuracy, and what it said."""
    there = sa.MetaData()
    there.reflect(engine)
    jobs, runs, told = (there.tables[name] for name in ("jobs", "runs", "events"))
    values = {"id": uuid.uuid4().hex, "kind": "train", "lane": "training", "status": "finished"} | job
    with engine.begin() as connection:
        recipe = to_settings(parse({"data": "photos"}))
        connection.execute(sa.insert(jobs).values(**values, arguments=recipe, created=sa.func.current_timestamp()))
        epoch, accuracy = best or (None, None)
        row = sa.insert(runs).values(job=values["id"], best_epoch=epoch, best_loss=0.5, best_accuracy=accuracy)
        run = connection.execute(row.values(name="", note="", tags=[], starred=False).returning(runs.c.id)).scalar_one()
        for name, about in said:
            connection.execute(sa.insert(told).values(run=run, name=name, values=about))


def test_accuracies_of_before_become_counts(before_counts: sa.Engine, database_url: str) -> None:
    def started(images: int) -> tuple[str, dict[str, Any]]:
        return "run_started", {"val_images": images}

    def epoch(number: int) -> tuple[str, dict[str, Any]]:
        return "epoch_ended", {"epoch": number}

    single = 0.8717948794364929  # 34/39 as a single-precision number.
    add_run(before_counts, (2, single), started(39), epoch(1), epoch(2), epoch(3))
    add_run(before_counts, (1, 0.75), started(8), epoch(1), started(10), epoch(2))  # It went on with other pictures.
    add_run(before_counts, (1, 0.75), epoch(1))
    add_run(before_counts, (1, 0.7), started(8), epoch(1))  # No count of 8 is 70 %.
    add_run(before_counts, (3, 0.5), started(8))
    add_run(before_counts, None)
    before_counts.dispose()
    store = store_at(database_url)
    known = {run.id: (run.kept_epoch, run.val) for run in store.runs.all()}
    counts = [(2, Score(34, 39)), (1, Score(6, 8)), (1, None), (1, None), (3, Score(4, 8)), (None, None)]
    assert known == dict(enumerate(counts, start=1))
    assert {(run.balanced_accuracy, run.zeros, run.test, run.preset) for run in store.runs.all()} == {(None,) * 4}
    store.database.close()


@pytest.mark.parametrize(
    ("kind", "lane", "said"),
    [("train", "training", "Run 1 is being trained by an earlier"), ("inspect", "light", "is at work on pictures")],
)
def test_work_that_goes_on_is_waited_for(
    before_counts: sa.Engine, database_url: str, kind: str, lane: str, said: str
) -> None:
    add_run(before_counts, None, status="running", worker=process_id(), heartbeat=time.time())
    with before_counts.begin() as connection:
        connection.execute(sa.text("UPDATE jobs SET kind = :kind, lane = :lane"), {"kind": kind, "lane": lane})
        if kind != "train":
            connection.execute(sa.text("DELETE FROM runs"))
    with pytest.raises(StoreBusy, match=said):
        store_at(database_url)
    with before_counts.begin() as connection:
        assert migrate.revision_of(connection) == "jobs"
        connection.execute(sa.text("UPDATE jobs SET status = 'finished'"))
    before_counts.dispose()
    store_at(database_url).database.close()


@pytest.mark.slow
def test_the_paused_run_goes_on_as_it_would_have(
    old_home: Expected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused = old_home.finished.run
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("THAW_WORKER_IDLE", "0")
    store = open_store()
    store.runs.resume(paused)
    worker.serve(store)
    run = store.runs.get(paused)
    assert (run.status, run.kept_epoch) == ("finished", old_home.finished.best_epoch)
    assert len(store.runs.steps(paused)) == old_home.finished.steps
    whole = tmp_path / "whole.safetensors"
    save_file(dict(load_model(home.weights_file(paused)).state), whole)
    assert same_answers(whole, weights_of_old_code())
    store.database.close()
