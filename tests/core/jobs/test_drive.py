"""A claimed run from start to end: what the store holds afterwards, whatever happened."""

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from core import home
from core.errors import JobFailed
from core.events import EpochEnded, FeaturesReady, Notice, RunFinished, RunStarted, RunStopped, StepEnded
from core.jobs.drive import drive
from core.jobs.job import Run
from core.jobs.process import ensure_training, process_id
from core.jobs.store import Store, open_store, store_at
from core.jobs.worker import AGAIN, requeue_lost
from core.recipe_settings import read_toml
from tests.conftest import MakeFolder, small_recipe
from tests.core.jobs.by_number import beat, claim
from tests.core.jobs.processes import FORKED, command_line, start


@pytest.fixture
def store() -> Store:
    return open_store()


def claimed(store: Store, data: Path, **settings: Any) -> Run:
    return store.runs.start(small_recipe(data, **settings), process_id())


def wait_until_ended(store: Store, run: int, seconds: float = 60) -> Run:
    """Polls the store, as the dashboard does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not (row := store.runs.get(run)).live:
            return row
        psutil.wait_procs(psutil.Process().children(), timeout=0.1)
    raise AssertionError(f"run {run} is still {store.runs.get(run).status}")


def test_a_finished_run_is_all_in_the_store(store: Store, make_folder: MakeFolder) -> None:
    run = claimed(store, make_folder(a=8, b=8))
    happened = list(drive(store, run.job))
    ended = store.runs.get(run.id)
    assert (ended.status, ended.job.message, ended.job.progress) == ("finished", None, None)
    said = [event for event in happened if isinstance(event, StepEnded)]
    kept_steps = store.runs.steps(run.id)
    assert kept_steps[:, 0].tolist() == [event.step for event in said]
    assert kept_steps[:, 3].tolist() == [event.metrics.loss for event in said]
    kept = [event for _, event in store.runs.events(run.id)]
    assert [type(event) for event in kept[:3]] == [Notice, FeaturesReady, RunStarted]  # Its frozen body is random.
    assert isinstance(kept[-1], RunFinished)
    assert [e for e in kept if isinstance(e, EpochEnded)] == [e for e in happened if isinstance(e, EpochEnded)]
    assert home.weights_file(run.id).is_file()
    assert read_toml(home.run_folder(run.id) / "recipe.toml")["backbone"] == "resnet18"


def test_a_stop_request_ends_the_run_and_keeps_its_weights(store: Store, make_folder: MakeFolder) -> None:
    run = claimed(store, make_folder(a=8, b=8), epochs=500)
    happened = []
    for event in drive(store, run.job):
        happened.append(event)
        if isinstance(event, StepEnded) and event.step == 1:
            store.runs.request_stop(run.id)
    assert isinstance(happened[-1], RunStopped)
    assert store.runs.get(run.id).status == "stopped"
    assert home.weights_file(run.id).is_file()


def test_a_failure_leaves_a_sentence_and_apart_a_traceback(store: Store, make_folder: MakeFolder) -> None:
    data = make_folder(a=8, b=8)
    run = claimed(store, data)
    (data / "a" / "3.png").write_bytes(b"")
    with pytest.raises(JobFailed, match=r"3\.png is not a picture"):
        list(drive(store, run.job))
    ended = store.runs.get(run.id)
    assert ended.status == "failed"
    assert ended.job.message is not None
    assert str(ended.job.message).endswith("remove it, or save it again as JPEG or PNG.")
    assert "Traceback" not in str(ended.job.message)
    assert ended.job.traceback is not None
    assert "BadImage" in ended.job.traceback


def test_a_diverged_run_says_so(store: Store, make_folder: MakeFolder) -> None:
    run = claimed(store, make_folder(a=8, b=8), trainable="all", optimizer={"lr": 1e30})
    with pytest.raises(JobFailed, match="Training diverged"):
        list(drive(store, run.job))
    assert store.runs.get(run.id).status == "failed"
    assert home.weights_file(run.id).is_file()


def test_a_folder_that_went_away_is_a_failure_with_its_name(store: Store, make_folder: MakeFolder) -> None:
    data = make_folder(a=8, b=8)
    run = claimed(store, data)
    data.rename(data.with_name("elsewhere"))
    with pytest.raises(JobFailed, match="pictures is not a folder"):
        list(drive(store, run.job))
    assert store.runs.get(run.id).status == "failed"


def test_only_one_process_works_off_the_queue(store: Store, make_folder: MakeFolder) -> None:
    data = make_folder(a=6, b=6)
    good = store.runs.queue(small_recipe(data, epochs=1))
    bad = store.runs.queue(small_recipe(data.with_name("missing"), epochs=1))
    last = store.runs.queue(small_recipe(data, epochs=1))
    for _ in range(3):
        ensure_training()
    ended = [wait_until_ended(store, run) for run in (good, bad, last)]
    assert [run.status for run in ended] == ["finished", "failed", "finished"]
    assert len({run.job.worker for run in ended}) == 1
    log = (home.thaw_home() / "worker.log").read_text(encoding="utf-8")
    assert f"run {last}: run_finished" in log


def test_a_killed_worker_is_noticed(store: Store, thaw_home: Path, make_folder: MakeFolder) -> None:
    run = store.runs.queue(small_recipe(make_folder(a=8, b=8), epochs=5000))
    process = start(thaw_home)
    while not len(store.runs.steps(run)):
        assert process.is_alive()
        process.join(0.05)
    worker = store.runs.get(run).job.worker
    assert worker is not None
    assert int(worker.split("/")[1]) == process.pid
    assert requeue_lost(store) == []
    process.kill()
    process.join()
    (line,) = requeue_lost(store)
    assert f"run {run}: its worker {worker} is gone; taken up again, 1 of 3 times" in line
    assert (store.runs.get(run).status, store.runs.get(run).job.losses) == ("queued", 1)
    assert Notice(AGAIN) in [event for _, event in store.runs.events(run)]


def test_an_old_process_with_the_same_number_is_not_the_worker_unless_it_is_heard(
    store: Store, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = store.runs.queue(small_recipe(make_folder(a=2, b=2)))
    host, pid, _started = process_id().rsplit("/", 2)
    worker = f"{host}/{pid}/1"
    claim(store, worker)
    assert requeue_lost(store) == []  # A clock that was set looks the same at first.
    monkeypatch.setattr("core.jobs.worker.SILENCE", 0.0)
    beat(store, run, worker)
    assert requeue_lost(store) == []
    assert len(requeue_lost(store)) == 1
    assert store.runs.get(run).status == "queued"


def test_a_silent_worker_on_another_machine_is_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = store.runs.queue(small_recipe(Path("pictures")))
    claim(store, "elsewhere/1/1")
    assert requeue_lost(store) == []
    monkeypatch.setattr("core.jobs.worker.SILENCE", 0.0)
    beat(store, run, "elsewhere/1/1")
    assert requeue_lost(store) == []
    assert len(requeue_lost(store)) == 1
    assert store.runs.get(run).status == "queued"


@pytest.mark.parametrize(("wish", "status"), [("stop", "stopped"), ("pause", "paused")])
def test_a_lost_run_that_was_to_end_ends(store: Store, wish: str, status: str) -> None:
    run = store.runs.queue(small_recipe(Path("pictures")))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    claim(store, f"{platform.node()}/{gone.pid}/1")
    getattr(store.runs, f"request_{wish}")(run)
    requeue_lost(store)
    assert store.runs.get(run).status == status


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process on Windows")
def test_ctrl_c_stops_the_command_line_after_the_batch(
    store: Store, thaw_home: Path, make_folder: MakeFolder, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'data = "{make_folder(a=8, b=8).as_posix()}"\n', encoding="utf-8")
    small = ["backbone=resnet18", "weights=random", "image_size=32", "epochs=5000", "batch_size=4"]
    changes = [word for change in small for word in ("--set", change)]
    said = tmp_path / "said"
    arguments = ["train", str(recipe), "--json", *changes]
    process = FORKED.Process(target=command_line, args=(str(thaw_home), said, *arguments))
    process.start()
    while not (said.exists() and '"step_ended"' in said.read_text(encoding="utf-8")):
        assert process.is_alive()
        process.join(0.05)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 0
    last = said.read_text(encoding="utf-8").splitlines()[-1]
    assert '"event": "run_stopped"' in last
    assert store.runs.all()[0].status == "stopped"


def libraries(process: psutil.Process) -> set[str]:
    """The shared libraries that a process has loaded."""
    return {mapped.path for mapped in process.memory_maps() if ".so" in mapped.path}


@pytest.mark.skipif(sys.platform != "linux", reason="loaded libraries are listed as Linux does")
def test_a_worker_waits_for_the_next_run_with_torch_loaded(
    store: Store, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THAW_WORKER_IDLE", "60")
    recipe = small_recipe(make_folder(a=6, b=6), epochs=1)
    first = store.runs.queue(recipe)
    ensure_training()
    worker = wait_until_ended(store, first).job.worker
    assert worker is not None
    process = psutil.Process(int(worker.split("/")[1]))
    loaded = libraries(process)
    assert any("torch" in file for file in loaded)
    ensure_training()
    second = store.runs.queue(recipe)
    ended = wait_until_ended(store, second)
    assert (ended.status, ended.job.worker) == ("finished", worker)
    assert libraries(process) == loaded, "something was loaded for the second run"
    process.terminate()
    psutil.wait_procs([process], timeout=10)


def test_a_run_goes_on_only_where_its_checkpoint_is(store: Store, make_folder: MakeFolder) -> None:
    run = store.runs.queue(small_recipe(make_folder(a=8, b=8), epochs=1))
    assert store.runs.waiting("another home") == [run]
    first = claim(store, process_id(), home.installation_id())
    assert first is not None
    list(drive(store, first.job))
    store.runs.resume(run, epochs=2)
    assert claim(store, "elsewhere/1/1", "another home") is None
    assert (store.runs.waiting("another home"), store.runs.waiting(home.installation_id())) == ([], [run])
    store.runs.request_stop(run)
    store.runs.delete([run])
    assert store.runs.purge(-1, "another home") == []
    assert store.runs.purge(-1, home.installation_id()) == [run]


def test_a_stop_while_a_run_prepares_to_go_on_keeps_what_is_known_of_it(store: Store, make_folder: MakeFolder) -> None:
    recipe = small_recipe(make_folder(a=8, b=8), epochs=2)
    first = store.runs.start(recipe, process_id())
    list(drive(store, first.job))
    before = store.runs.get(first.id)
    store.runs.resume(first.id, epochs=4)
    again = claim(store, process_id(), home.installation_id())
    assert again is not None
    store.runs.request_stop(again.id)
    list(drive(store, again.job))
    after = store.runs.get(first.id)
    assert (after.status, after.kept_epoch, after.val) == ("stopped", before.kept_epoch, before.val)
    assert after.job.seconds is not None
    assert before.job.seconds is not None
    assert after.job.seconds >= before.job.seconds


def test_files_of_another_database_are_not_resumed_from(store: Store, make_folder: MakeFolder, tmp_path: Path) -> None:
    recipe = small_recipe(make_folder(a=8, b=8))
    list(drive(store, store.runs.start(recipe, process_id()).job))
    other = store_at(f"sqlite:///{tmp_path / 'other.sqlite'}")
    run = other.runs.start(recipe, process_id())
    list(drive(other, run.job))
    assert len(other.runs.steps(run.id)) == len(store.runs.steps(run.id)) > 0
