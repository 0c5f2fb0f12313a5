"""Workers of the code before the queue, alive while the new code opens the database; and the other way round."""

import os
import runpy
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from core import home
from core.errors import StoreBusy
from core.jobs.migrations.migrate import HEAD
from core.jobs.process import is_gone, process_id_of
from core.jobs.store import open_store
from core.recipe_settings import to_settings
from tests.conftest import MakeFolder, small_recipe
from tests.core.jobs.old_homes import queue_with_old_code, start_old_worker, unpack_old_home
from tests.core.jobs.processes import FORKED, say_into

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the old code lies beside links to this one's weights"),
]
ROOT = Path(__file__).parents[3]
STEPS = "SELECT count(*) FROM steps WHERE run = {run}"


def ask(thaw_home: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(thaw_home / "thaw.sqlite", timeout=10)) as database:
        return database.execute(query).fetchall()


def dump(thaw_home: Path) -> list[str]:
    with closing(sqlite3.connect(thaw_home / "thaw.sqlite")) as database:
        return list(database.iterdump())


def until(happened: Callable[[], object], pid: int, seconds: float = 60) -> None:
    """Wait while a process lives."""
    name = process_id_of(psutil.Process(pid))
    deadline = time.monotonic() + seconds
    while not happened():
        assert not is_gone(name), "the process ended early"
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def old_worker(thaw_home: Path, tmp_path: Path) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Starts a worker of the old code that stays when its queue is empty; returns it at its place."""
    unpack_old_home(thaw_home)
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        process = start_old_worker(thaw_home, tmp_path, THAW_WORKER_IDLE="600")
        started.append(process)
        lock = home.worker_lock("training", 0)
        until(lambda: str(lock) in {one.path for one in psutil.Process(process.pid).open_files()}, process.pid)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_an_idle_one_is_ended(old_worker: Callable[[], "subprocess.Popen[bytes]"], thaw_home: Path) -> None:
    idle = old_worker()
    store = open_store()
    assert idle.wait(10) is not None
    assert [run.id for run in store.runs.all()] == [2, 1]
    assert ask(thaw_home, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    store.database.close()


def test_one_that_trains_is_waited_for(
    old_worker: Callable[[], "subprocess.Popen[bytes]"], thaw_home: Path, tmp_path: Path, make_folder: MakeFolder
) -> None:
    epochs = 600
    recipe = small_recipe(make_folder(a=8, b=8), epochs=epochs)
    run = queue_with_old_code(thaw_home, tmp_path, to_settings(recipe))
    busy = old_worker()
    until(lambda: ask(thaw_home, STEPS.format(run=run)) > [(0,)], busy.pid)
    schema = ask(thaw_home, "SELECT * FROM sqlite_master")
    with pytest.raises(StoreBusy) as raised:
        open_store()
    assert str(raised.value).startswith(f"Run {run} is being trained by an earlier version of Thaw.")
    assert ask(thaw_home, "SELECT * FROM sqlite_master") == schema

    command = [sys.executable, "-m", "core", "runs", "--json"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as listing:
        assert listing.stderr.readline() == f"{raised.value}\n"
        before = ask(thaw_home, STEPS.format(run=run))
        until(lambda: ask(thaw_home, STEPS.format(run=run)) > before, busy.pid)
        assert listing.poll() is None, "the command line did not wait"
        assert ask(thaw_home, "SELECT * FROM sqlite_master") == schema
        listed, said = listing.communicate(timeout=120)
    assert (listing.returncode, said) == (0, "")
    assert listed.startswith(f'{{"run": {run}, "status": "finished"')
    assert busy.wait(10) is not None, "it still idles"
    store = open_store()
    ended = store.runs.get(run)
    assert (ended.status, len(store.runs.steps(run))) == ("finished", epochs * 3)
    assert home.weights_file(run).is_file()
    store.database.close()


def test_one_that_starts_later_writes_nothing(thaw_home: Path, tmp_path: Path, make_folder: MakeFolder) -> None:
    unpack_old_home(thaw_home)
    store = open_store()
    waiting = store.runs.queue(small_recipe(make_folder(a=4, b=4)))
    before = dump(thaw_home)
    late = start_old_worker(thaw_home, tmp_path, THAW_WORKER_IDLE="0")
    assert late.wait(60) != 0
    assert dump(thaw_home) == before
    assert store.runs.get(waiting).status == "queued"
    store.database.close()


def new_worker(thaw_home: str, said: Path) -> None:
    """The program of a worker of this code, with the status that it exits with."""
    os.environ |= {"THAW_HOME": thaw_home, "THAW_WORKER_IDLE": "600"}
    say_into(said, 1, 2)
    sys.argv = ["core.jobs.worker", "training", "0"]
    runpy.run_module("core.jobs.worker", run_name="__main__")


@pytest.mark.parametrize("trains", [False, True])
def test_a_worker_of_this_code_ends_when_another_version_changes_the_database(
    thaw_home: Path, tmp_path: Path, make_folder: MakeFolder, trains: bool
) -> None:
    store = open_store()
    run = store.runs.queue(small_recipe(make_folder(a=8, b=8), epochs=5000 if trains else 1))
    worker = FORKED.Process(target=new_worker, args=(str(thaw_home), tmp_path / "said"))
    worker.start()
    assert worker.pid is not None
    until(lambda: len(store.runs.steps(run)) if trains else not store.runs.get(run).live, worker.pid)
    name = process_id_of(psutil.Process(worker.pid))
    with closing(sqlite3.connect(thaw_home / "thaw.sqlite", timeout=10)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'another'")
    before = dump(thaw_home)
    worker.join(30)
    assert worker.exitcode == 1
    said = (tmp_path / "said").read_text(encoding="utf-8")
    assert "Another version of Thaw has changed the database. Start this program again." in said
    assert dump(thaw_home) == before
    with closing(sqlite3.connect(thaw_home / "thaw.sqlite")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (HEAD,))
    assert store.runs.get(run).status == ("running" if trains else "finished")
    assert store.runs.get(run).job.worker == name
    store.database.close()
