"""The store keeps what it is told, and hands each run to exactly one worker."""

import contextlib
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import NotNow, StoreUnavailable, TakenOver, UnknownRun
from core.events import ArtifactSaved, EpochEnded, Metrics, Notice, Progress, RunStarted, StepEnded
from core.jobs.run import STEP_COLUMNS, Run
from core.jobs.store import Store
from core.recipe import parse, to_settings

ROOT = Path(__file__).parents[3]
RECIPE = parse({"data": "photos", "trainable": ["head", "layer4.1"]})


def metrics(loss: float = 1.0, accuracy: float = 0.5) -> Metrics:
    return Metrics(loss=loss, cross_entropy=loss, l1=0.0, l2=0.0, accuracy=accuracy)


def step(number: int) -> StepEnded:
    return StepEnded(number, 1, 0.1, metrics(loss=1 / number))


@pytest.fixture
def open_store(database_url: str) -> Iterator[Callable[[], Store]]:
    """Opens the database anew, each time with a handle of its own."""
    opened: list[Store] = []

    def one_more() -> Store:
        opened.append(Store(database_url))
        return opened[-1]

    yield one_more
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    return open_store()


def test_many_processes_may_open_a_new_store_at_once(tmp_path: Path, database_url: str) -> None:
    code = (
        "import sys, pathlib; from core.jobs.store import Store; print('ready', flush=True)\n"
        "while not pathlib.Path(sys.argv[1]).exists(): pass\n"
        "Store(sys.argv[2])"
    )
    go = tmp_path / "go"
    command = [sys.executable, "-c", code, str(go), database_url]
    openers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    for opener in openers:
        assert opener.stdout is not None
        assert opener.stdout.readline() == "ready\n"
    go.touch()
    for opener in openers:
        opener.communicate(timeout=60)
    assert [opener.returncode for opener in openers] == [0] * 6


def test_a_queued_run_keeps_its_recipe(store: Store) -> None:
    run = store.run(store.queue(RECIPE))
    assert (run.status, run.recipe, run.live) == ("queued", RECIPE, True)


def test_runs_are_claimed_in_order_and_once(store: Store) -> None:
    first, second = store.queue(RECIPE), store.queue(RECIPE)
    claimed = [store.claim("me"), store.claim("me"), store.claim("me")]
    assert [run and (run.id, run.status, run.worker) for run in claimed] == [
        (first, "running", "me"),
        (second, "running", "me"),
        None,
    ]


def test_a_run_can_be_started_past_the_queue(store: Store) -> None:
    waiting = store.queue(RECIPE)
    started = store.start(RECIPE, "me")
    assert (started.status, started.worker, started.recipe) == ("running", "me", RECIPE)
    claimed = store.claim("another")
    assert claimed is not None
    assert claimed.id == waiting
    assert store.claim("another") is None


def test_of_many_workers_each_gets_other_runs(store: Store, open_store: Callable[[], Store]) -> None:
    queued = [store.queue(RECIPE) for _ in range(60)]
    claimed: list[Run] = []

    def work() -> None:
        own = open_store()
        while own.waiting():
            if run := own.claim(threading.current_thread().name):
                claimed.append(run)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(run.id for run in claimed) == queued


def test_readers_get_what_came_since_they_last_asked(store: Store) -> None:
    run = store.queue(RECIPE)
    store.append(run, [Notice("one"), step(1), step(2)])
    assert store.steps(run).tolist() == [[1, 1, 0.1, 1, 1, 0, 0, 0.5], [2, 1, 0.1, 0.5, 0.5, 0, 0, 0.5]]
    ((last, event),) = store.events(run)
    assert event == Notice("one")
    ended = EpochEnded(1, metrics(), None, 2.0, 50.0)
    store.append(run, [step(3), ended])
    assert store.steps(run, after=2)[:, STEP_COLUMNS.index("step")].tolist() == [3]
    assert store.steps(run, after=3).shape == (0, len(STEP_COLUMNS))
    assert [event for _, event in store.events(run, after=last)] == [ended]


def test_progress_is_shown_until_something_else_happens(store: Store) -> None:
    run = store.queue(RECIPE)
    store.append(run, [Progress("Downloading", 1, 3), Progress("Downloading", 2, 3)])
    assert store.run(run).progress == Progress("Downloading", 2, 3)
    assert store.events(run) == []
    store.append(run, [Notice("done")])
    assert store.run(run).progress is None


def test_the_best_epoch_is_the_one_of_lowest_validation_loss(store: Store) -> None:
    run = store.queue(RECIPE)
    for epoch, (loss, accuracy) in enumerate([(1.0, 0.3), (0.5, 0.8), (0.7, 0.9), (0.5, 0.7)], start=1):
        store.append(run, [EpochEnded(epoch, metrics(), metrics(loss, accuracy), 1.0, 1.0)])
    assert (store.run(run).best_epoch, store.run(run).best_accuracy) == (2, 0.8)


def test_a_request_reaches_whoever_writes(store: Store) -> None:
    run = store.queue(RECIPE)
    store.claim("me")
    assert store.append(run, [step(1)]) is None
    store.request_pause(run)
    assert store.append(run, [step(2)]) == "pause"
    store.request_stop(run)
    assert store.append(run, [step(3)]) == "stop"


def test_a_run_that_nobody_claimed_is_stopped_at_once(store: Store) -> None:
    run = store.queue(RECIPE)
    store.request_stop(run)
    assert store.run(run).status == "stopped"
    assert store.claim("me") is None


def test_an_ending_is_final(store: Store) -> None:
    run = store.queue(RECIPE)
    store.claim("me")
    store.end(run, "finished", seconds=3.0)
    store.end(run, "failed", message="too late")
    ended = store.run(run)
    assert (ended.status, ended.seconds, ended.message, ended.live) == ("finished", 3.0, None, False)


def test_the_newest_run_comes_first(store: Store) -> None:
    first, second = store.queue(RECIPE), store.queue(RECIPE)
    assert [run.id for run in store.runs()] == [second, first]
    store.claim("me")
    assert [run.id for run in store.runs("running")] == [first]


def test_an_unknown_run_is_an_error_with_a_way_out(store: Store) -> None:
    with pytest.raises(UnknownRun, match="There is no run 7"):
        store.run(7)


def test_the_store_outlives_its_handles(open_store: Callable[[], Store], tmp_path: Path) -> None:
    run = open_store().queue(RECIPE)
    artifact = ArtifactSaved(str(tmp_path), 1)
    open_store().append(run, [artifact])
    assert [event for _, event in open_store().events(run)] == [artifact]


def test_a_paused_run_waits_aside_and_comes_back_at_the_end(store: Store) -> None:
    first, second = store.queue(RECIPE), store.queue(RECIPE)
    store.request_pause(first)
    assert (store.run(first).status, store.waiting()) == ("paused", [second])
    store.resume(first)
    assert store.waiting() == [second, first]
    assert store.run(first).request is None


def test_an_ended_run_goes_on_and_a_finished_one_with_more_epochs(store: Store) -> None:
    run = store.queue(RECIPE)
    with pytest.raises(NotNow, match="is queued"):
        store.resume(run)
    store.claim("me")
    store.end(run, "failed", message="the disk was full")
    store.resume(run)
    assert (store.run(run).status, store.run(run).message) == ("queued", None)
    store.claim("me")
    store.end(run, "finished", seconds=1.0)
    with pytest.raises(NotNow, match="give it more of them"):
        store.resume(run)
    store.resume(run, epochs=RECIPE.epochs + 5)
    assert store.run(run).recipe.epochs == RECIPE.epochs + 5
    with pytest.raises(UnknownRun):
        store.resume(99)


def test_the_queue_can_be_put_in_another_order(store: Store) -> None:
    first, second, third = (store.queue(RECIPE) for _ in range(3))
    store.move(third, 0)
    assert store.waiting() == [third, first, second]
    store.move(third, 2)
    assert store.waiting() == [first, second, third]
    claimed = store.claim("me")
    assert claimed is not None
    assert claimed.id == first
    store.move(first, 0)
    assert store.waiting() == [second, third]
    assert store.run(first).status == "running"


def test_a_lost_run_is_given_back_once_and_comes_first(store: Store) -> None:
    lost, waiting = store.queue(RECIPE), store.queue(RECIPE)
    run = store.claim("gone")
    assert run is not None
    assert [store.give_back(run), store.give_back(run)] == [True, False]
    assert store.waiting() == [lost, waiting]
    assert store.run(lost).losses == 1


def test_only_the_worker_that_has_a_run_is_heard(store: Store) -> None:
    run = store.queue(RECIPE)
    store.claim("me")
    assert store.beat(run, "me")
    assert not store.beat(run, "another")
    store.append(run, [step(1)], "me")
    with pytest.raises(TakenOver, match="taken up by another process"):
        store.append(run, [step(2)], "another")
    assert store.steps(run)[:, 0].tolist() == [1]
    store.end(run, "failed", "another", message="not mine")
    assert store.run(run).status == "running"
    store.end(run, "finished", "me")
    assert not store.beat(run, "me")


def test_what_is_written_again_because_the_answer_was_lost_is_there_once(store: Store) -> None:
    run = store.queue(RECIPE)
    ended = EpochEnded(1, metrics(), metrics(), 1.0, 1.0)
    for _ in range(2):
        store.append(run, [step(1), step(2), ended, Notice("one")])
    store.append(run, [Notice("two")])
    assert store.steps(run)[:, 0].tolist() == [1, 2]
    assert [event for _, event in store.events(run)] == [ended, Notice("one"), Notice("two")]


def test_a_run_that_goes_on_forgets_what_came_after_its_checkpoint(store: Store) -> None:
    run = store.queue(RECIPE)
    started = RunStarted(("a", "b"), 8, 2, 1, 1, 9, 2, "cpu", "fp32")
    epochs = [EpochEnded(n, metrics(), metrics(1 / n, n / 10), 1.0, 1.0) for n in (1, 2, 3)]
    store.append(run, [started, *(step(n) for n in range(1, 7)), *epochs])
    assert store.run(run).best_epoch == 3
    store.append(run, [replace(started, epochs_done=1, steps_done=3)])
    assert store.steps(run)[:, 0].tolist() == [1, 2, 3]
    assert [e.epoch for _, e in store.events(run) if isinstance(e, EpochEnded)] == [1]
    assert (store.run(run).best_epoch, store.run(run).best_accuracy) == (1, 0.1)
    store.append(run, [step(4), epochs[1]])
    assert store.run(run).best_epoch == 2


def test_labels_are_kept(store: Store) -> None:
    run = store.queue(RECIPE)
    assert (store.run(run).name, store.run(run).tags, store.run(run).starred) == ("", (), False)
    store.label(run, name="<b>x</b>", note="fine\nday", tags=("a", "b c"))
    store.label(run, starred=True)
    labelled = store.run(run)
    assert (labelled.name, labelled.note, labelled.tags) == ("<b>x</b>", "fine\nday", ("a", "b c"))
    assert labelled.starred


def test_a_deleted_run_can_come_back_until_it_is_purged(store: Store) -> None:
    live, ended = store.queue(RECIPE), store.queue(RECIPE)
    store.append(ended, [step(1), Notice("one")])
    store.request_stop(ended)
    store.delete([live, ended])
    assert [run.id for run in store.runs()] == [live]
    with pytest.raises(UnknownRun):
        store.run(ended)
    assert store.purge(60) == []
    store.undelete([ended])
    assert store.run(ended).status == "stopped"
    store.delete([ended])
    assert store.purge(-1) == [ended]
    store.undelete([ended])
    assert [run.id for run in store.runs()] == [live]
    assert len(store.steps(ended)) == 0


def test_a_database_of_an_earlier_version_is_brought_up_to_date(tmp_path: Path) -> None:
    file = tmp_path / "old.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as old:
        old.execute(
            "CREATE TABLE runs (id INTEGER PRIMARY KEY AUTOINCREMENT, status VARCHAR(10) NOT NULL, recipe JSON, "
            "created DATETIME NOT NULL, worker VARCHAR(200), stop_requested BOOLEAN NOT NULL, progress JSON, "
            "best_epoch INTEGER, best_loss FLOAT, best_accuracy FLOAT, seconds FLOAT, message TEXT, traceback TEXT)"
        )
        values = ("finished", json.dumps(to_settings(RECIPE)), "2026-01-02 03:04:05.000000", 0)
        old.execute("INSERT INTO runs (status, recipe, created, stop_requested) VALUES (?, ?, ?, ?)", values)
        old.commit()
    store = Store(f"sqlite:///{file}")
    assert [(run.id, run.status, run.recipe, run.tags) for run in store.runs()] == [(1, "finished", RECIPE, ())]
    assert store.queue(RECIPE) == 2


def test_a_locked_database_is_an_error_in_words(tmp_path: Path) -> None:
    file = tmp_path / "runs.sqlite"
    store = Store(f"sqlite:///{file}?timeout=0")
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with store._engine.connect() as connection:  # No test waits for the whole of the store's patience.
            connection.exec_driver_sql("PRAGMA busy_timeout=1")
        with pytest.raises(StoreUnavailable, match="database is locked"):
            store.queue(RECIPE)
        other.rollback()
    assert store.queue(RECIPE) == 1
