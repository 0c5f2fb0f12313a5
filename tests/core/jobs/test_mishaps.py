"""Memory, disk, pictures, database: each fault ends in the right state with advice, and nothing that was is lost."""

import contextlib
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from core import files, home
from core.errors import DISK_FULL, OUT_OF_MEMORY, JobFailed, StoreUnavailable, TakenOver, explain
from core.events import EpochEnded, Metrics, StepEnded
from core.jobs import worker
from core.jobs.drive import drive
from core.jobs.job import Run
from core.jobs.process import process_id
from core.jobs.store import Store, open_store
from core.jobs.store.database import retry_while_unavailable
from tests.conftest import MakeFolder, small_recipe
from tests.core.jobs.by_number import claim
from tests.core.jobs.processes import start

METRICS = Metrics(1.0, 1.0, 0.0, 0.0, 0.5)
FULL = Path("/dev/full")
"""A file that is always on a full disk."""


@pytest.fixture
def store() -> Store:
    return open_store()


def claimed(store: Store, data: Path, **settings: Any) -> Run:
    return store.runs.start(small_recipe(data, **settings), process_id())


def again(store: Store, run: int) -> Run:
    """Resume a run and claim it."""
    store.runs.resume(run)
    found = claim(store, process_id(), home.installation_id())
    assert found is not None
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")
def test_a_run_that_needs_too_much_memory_fails_and_the_next_one_has_its_turn(
    store: Store, thaw_home: Path, make_folder: MakeFolder
) -> None:
    data = make_folder(a=40, b=40)
    large = store.runs.queue(small_recipe(data, trainable="all", image_size=448, batch_size=60))
    small = store.runs.queue(small_recipe(data, epochs=1))
    process = start(thaw_home, memory=800_000_000)
    process.join(120)
    assert process.exitcode == 0
    assert (store.runs.get(large).status, store.runs.get(large).job.message) == ("failed", OUT_OF_MEMORY)
    assert store.runs.get(small).status == "finished"


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_said_and_the_run_goes_on_once_there_is_room(
    store: Store, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = claimed(store, make_folder(a=8, b=8))
    blocked = home.run_folder(run.id) / "blocked"
    blocked.symlink_to(FULL)
    usual = files.partial_name
    with monkeypatch.context() as full:
        full.setattr(files, "partial_name", lambda path: blocked if path.name == "resume.pt" else usual(path))
        with pytest.raises(JobFailed, match="The disk is full"):
            list(drive(store, run.job))
    assert not blocked.is_symlink(), "the half file is still there"
    assert (store.runs.get(run.id).status, store.runs.get(run.id).job.message) == ("failed", DISK_FULL)
    assert len(store.runs.steps(run.id)) > 0
    list(drive(store, again(store, run.id).job))
    assert store.runs.get(run.id).status == "finished"


def test_a_picture_that_vanishes_is_named_and_the_run_goes_on_once_it_is_back(
    store: Store, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.training.inputs.MEMORY_SHARE", 0.0)
    monkeypatch.setattr("core.training.loop.AFTER_EPOCHS", 0.0)
    data = make_folder(a=8, b=8)
    whole, run = (claimed(store, data, trainable="all", epochs=4) for _ in range(2))
    list(drive(store, whole.job))
    picture, aside = data / "a" / "0.png", data.parent / "aside.png"
    job = drive(store, run.job)
    while not (isinstance(event := next(job), EpochEnded) and event.epoch == 2):
        pass
    picture.rename(aside)
    with pytest.raises(JobFailed, match=r"0\.png is not there"):
        list(job)
    assert store.runs.get(run.id).status == "failed"
    aside.rename(picture)
    list(drive(store, again(store, run.id).job))
    assert store.runs.get(run.id).status == "finished"
    assert store.runs.steps(run.id).tolist() == store.runs.steps(whole.id).tolist()


def test_a_database_that_is_locked_for_a_while_costs_time_only(store: Store, make_folder: MakeFolder) -> None:
    run = claimed(store, make_folder(a=8, b=8), epochs=4)
    locked, released = threading.Event(), threading.Event()

    def lock() -> None:
        with contextlib.closing(sqlite3.connect(home.thaw_home() / "thaw.sqlite", timeout=30)) as other:
            other.execute("BEGIN IMMEDIATE")
            locked.set()
            released.wait(0.5)
            other.rollback()

    for event in drive(store, run.job):
        if isinstance(event, StepEnded) and event.step == 3:
            threading.Thread(target=lock).start()
            assert locked.wait(10)
    assert store.runs.get(run.id).status == "finished"
    assert store.runs.steps(run.id)[:, 0].tolist() == list(range(1, 13))


def test_a_store_that_cannot_be_written_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.jobs.store.database.TRY_AGAIN", 0.0)
    answers = iter([StoreUnavailable("locked"), StoreUnavailable("locked"), "written"])

    def write() -> str:
        answer = next(answers)
        if isinstance(answer, StoreUnavailable):
            raise answer
        return answer

    assert retry_while_unavailable(write) == "written"
    monkeypatch.setattr("core.jobs.store.database.PATIENCE", -1.0)
    answers = iter([StoreUnavailable("locked")])
    with pytest.raises(StoreUnavailable):
        retry_while_unavailable(write)


def test_a_class_that_is_renamed_while_a_run_waits_is_said(store: Store, make_folder: MakeFolder) -> None:
    data = make_folder(a=8, b=8)
    run = claimed(store, data, epochs=500)
    for event in drive(store, run.job):
        if isinstance(event, StepEnded) and event.step == 2:
            store.runs.request_pause(run.id)
    (data / "a").rename(data / "c")
    with pytest.raises(JobFailed, match="classes were added, removed or renamed since"):
        list(drive(store, again(store, run.id).job))
    (data / "c").rename(data / "a")
    (data / "a" / "0.png").rename(data / "a" / "00.png")
    with pytest.raises(JobFailed, match="pictures were added, removed or moved since"):
        list(drive(store, again(store, run.id).job))


def test_a_worker_that_another_one_has_replaced_leaves_the_run_alone(store: Store, make_folder: MakeFolder) -> None:
    data = make_folder(a=8, b=8)
    run = claimed(store, data, epochs=500)
    job = drive(store, run.job)
    while not isinstance(next(job), StepEnded):
        pass
    assert store.jobs.requeue(run.job)
    other = claim(store, "elsewhere/1/1")
    assert other is not None
    (data / "a" / "0.png").unlink()
    with pytest.raises(TakenOver):
        list(job)
    assert (store.runs.get(run.id).status, store.runs.get(run.id).job.worker) == ("running", "elsewhere/1/1")
    assert store.runs.append(run.id, [StepEnded(1, 1, 0.1, METRICS)], "elsewhere/1/1") is None


def test_an_idle_worker_waits_for_a_store_that_is_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.jobs.store.database.TRY_AGAIN", 0.02)
    monkeypatch.setenv("THAW_WORKER_IDLE", "0")
    with contextlib.closing(sqlite3.connect(home.thaw_home() / "thaw.sqlite")) as other:
        other.execute("ALTER TABLE runs RENAME TO away")
        serving = threading.Thread(target=worker.serve, args=(store,))
        serving.start()
        serving.join(0.2)
        assert serving.is_alive()
        other.execute("ALTER TABLE away RENAME TO runs")
        serving.join(30)
        assert not serving.is_alive()


def test_a_full_disk_is_known_by_what_safetensors_says_of_it() -> None:
    words = 'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })'
    assert explain(SafetensorError(words)) == DISK_FULL
