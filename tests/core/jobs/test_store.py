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

from core import events
from core.errors import NotNow, StoreUnavailable, TakenOver, UnknownRun
from core.events import ArtifactSaved, EpochEnded, Metrics, Notice, Progress, RunStarted, StepEnded
from core.figures import Score
from core.jobs.job import STEP_COLUMNS, FinalTest, Provenance, Run
from core.jobs.store import Store, store_at
from core.messages import Message
from core.recipe_settings import parse, to_settings
from tests.core.jobs.by_number import beat, claim, end

ROOT = Path(__file__).parents[3]
RECIPE = parse({"data": "photos", "trainable": ["head", "layer4.1"]})


def metrics(loss: float = 1.0, accuracy: float = 0.5) -> Metrics:
    return Metrics(loss=loss, cross_entropy=loss, l1=0.0, l2=0.0, accuracy=accuracy)


def step(number: int) -> StepEnded:
    return StepEnded(number, 1, 0.1, metrics(loss=1 / number))


STARTED = RunStarted(("a", "b"), 8, 6, 1, 1, 9, 2, "cpu", "fp32")


@pytest.fixture
def open_store(database_url: str) -> Iterator[Callable[[], Store]]:
    """Opens the database anew, each time with a handle of its own."""
    opened: list[Store] = []

    def one_more() -> Store:
        opened.append(store_at(database_url))
        return opened[-1]

    yield one_more
    for store in opened:
        store.database.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    return open_store()


def test_many_processes_may_open_a_new_store_at_once(tmp_path: Path, database_url: str) -> None:
    code = (
        "import sys, pathlib; from core.jobs.store import store_at; print('ready', flush=True)\n"
        "while not pathlib.Path(sys.argv[1]).exists(): pass\n"
        "store_at(sys.argv[2])"
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
    run = store.runs.get(store.runs.queue(RECIPE))
    assert (run.status, run.recipe, run.live) == ("queued", RECIPE, True)


def test_runs_are_claimed_in_order_and_once(store: Store) -> None:
    first, second = store.runs.queue(RECIPE), store.runs.queue(RECIPE)
    claimed = [claim(store, "me"), claim(store, "me"), claim(store, "me")]
    assert [run and (run.id, run.status, run.job.worker) for run in claimed] == [
        (first, "running", "me"),
        (second, "running", "me"),
        None,
    ]


def test_a_run_can_be_started_past_the_queue(store: Store) -> None:
    waiting = store.runs.queue(RECIPE)
    started = store.runs.start(RECIPE, "me")
    assert (started.status, started.job.worker, started.recipe) == ("running", "me", RECIPE)
    claimed = claim(store, "another")
    assert claimed is not None
    assert claimed.id == waiting
    assert claim(store, "another") is None


def test_of_many_workers_each_gets_other_runs(store: Store, open_store: Callable[[], Store]) -> None:
    queued = [store.runs.queue(RECIPE) for _ in range(60)]
    claimed: list[Run] = []

    def work() -> None:
        own = open_store()
        while own.runs.waiting():
            if run := claim(own, threading.current_thread().name):
                claimed.append(run)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(run.id for run in claimed) == queued


def test_readers_get_what_came_since_they_last_asked(store: Store) -> None:
    run = store.runs.queue(RECIPE)
    store.runs.append(run, [Notice(Message("one")), step(1), step(2)])
    assert store.runs.steps(run).tolist() == [[1, 1, 0.1, 1, 1, 0, 0, 0.5], [2, 1, 0.1, 0.5, 0.5, 0, 0, 0.5]]
    ((last, event),) = store.runs.events(run)
    assert event == Notice(Message("one"))
    ended = EpochEnded(1, metrics(), None, 2.0, 50.0)
    store.runs.append(run, [step(3), ended])
    assert store.runs.steps(run, after=2)[:, STEP_COLUMNS.index("step")].tolist() == [3]
    assert store.runs.steps(run, after=3).shape == (0, len(STEP_COLUMNS))
    assert [event for _, event in store.runs.events(run, after=last)] == [ended]


def test_progress_is_shown_until_something_else_happens(store: Store) -> None:
    run = store.runs.queue(RECIPE)
    store.runs.append(run, [Progress(Message("Downloading"), 1, 3), Progress(Message("Downloading"), 2, 3)])
    assert store.runs.get(run).job.progress == Progress(Message("Downloading"), 2, 3)
    assert store.runs.events(run) == []
    store.runs.append(run, [Notice(Message("done"))])
    assert store.runs.get(run).job.progress is None


HALF_RIGHT = ((0, 0, 3), (1, 0, 2), (1, 1, 1))
"""Four of six pictures; of one class three of three, of the other one of three."""


def epoch_ended(epoch: int, loss: float = 1.0, kept: bool = True, zeros: float | None = None) -> EpochEnded:
    validated = metrics(loss, 4 / 6)
    return EpochEnded(epoch, metrics(), validated, 1.0, 1.0, HALF_RIGHT, {"head": 0.5}, zeros, kept)


def test_the_kept_epoch_is_the_last_that_says_so(store: Store) -> None:
    run = store.runs.queue(RECIPE)
    assert store.runs.kept(run) is None
    store.runs.append(
        run, [STARTED, epoch_ended(1, 9.0), epoch_ended(2, 5.0, zeros=0.75), epoch_ended(3, 0.1, kept=False)]
    )
    known = store.runs.get(run)
    assert (known.kept_epoch, known.val, known.zeros) == (2, Score(4, 6), 0.75)
    assert known.balanced_accuracy == pytest.approx((1 + 1 / 3) / 2)
    assert store.runs.kept(run) == (STARTED.classes, epoch_ended(2, 5.0, zeros=0.75))


def test_a_test_is_kept_with_how_often_there_was_one(store: Store) -> None:
    run = store.runs.queue(RECIPE)
    assert store.runs.get(run).test is None
    first = events.KeptTested(2, metrics(), HALF_RIGHT)
    store.runs.append(run, [STARTED, epoch_ended(2)])
    for _ in range(2):  # The answer of the database may be lost after the writing.
        store.runs.append(run, [first])
    assert store.runs.get(run).test == FinalTest(Score(4, 6), (1 + 1 / 3) / 2, epoch=2, looks=1)
    store.runs.append(
        run, [replace(STARTED, epochs_done=2), epoch_ended(3), events.KeptTested(3, metrics(), ((0, 0, 5), (1, 0, 1)))]
    )
    assert store.runs.get(run).test == FinalTest(Score(5, 6), 0.5, epoch=3, looks=2)


def test_the_preset_that_a_recipe_began_from_is_kept(store: Store) -> None:
    preset = Provenance("fine_tuning", ("batch_size",))
    assert store.runs.get(store.runs.queue(RECIPE)).preset is None
    assert store.runs.get(store.runs.queue(RECIPE, preset)).preset == preset
    run = store.runs.start(RECIPE, "me", preset)
    assert run.preset == preset
    end(store, run.id, "finished")
    store.runs.resume(run.id, epochs=RECIPE.epochs + 1)
    assert store.runs.get(run.id).preset == Provenance("fine_tuning", ("batch_size", "epochs"))


def test_a_request_reaches_whoever_writes(store: Store) -> None:
    run = store.runs.queue(RECIPE)
    claim(store, "me")
    assert store.runs.append(run, [step(1)]) is None
    store.runs.request_pause(run)
    assert store.runs.append(run, [step(2)]) == "pause"
    store.runs.request_stop(run)
    assert store.runs.append(run, [step(3)]) == "stop"


def test_a_run_that_nobody_claimed_is_stopped_at_once(store: Store) -> None:
    run = store.runs.queue(RECIPE)
    store.runs.request_stop(run)
    assert store.runs.get(run).status == "stopped"
    assert claim(store, "me") is None


def test_an_ending_is_final(store: Store) -> None:
    run = store.runs.queue(RECIPE)
    claim(store, "me")
    end(store, run, "finished", seconds=3.0)
    end(store, run, "failed", message=Message("too late"))
    ended = store.runs.get(run)
    assert (ended.status, ended.job.seconds, ended.job.message, ended.live) == ("finished", 3.0, None, False)


def test_the_newest_run_comes_first(store: Store) -> None:
    first, second = store.runs.queue(RECIPE), store.runs.queue(RECIPE)
    assert [run.id for run in store.runs.all()] == [second, first]
    claim(store, "me")
    assert [run.id for run in store.runs.all("running")] == [first]


def test_an_unknown_run_is_an_error_with_a_way_out(store: Store) -> None:
    with pytest.raises(UnknownRun, match="There is no run 7"):
        store.runs.get(7)


def test_the_store_outlives_its_handles(open_store: Callable[[], Store], tmp_path: Path) -> None:
    run = open_store().runs.queue(RECIPE)
    artifact = ArtifactSaved(str(tmp_path), 1)
    open_store().runs.append(run, [artifact])
    assert [event for _, event in open_store().runs.events(run)] == [artifact]


def test_a_paused_run_waits_aside_and_comes_back_at_the_end(store: Store) -> None:
    first, second = store.runs.queue(RECIPE), store.runs.queue(RECIPE)
    store.runs.request_pause(first)
    assert (store.runs.get(first).status, store.runs.waiting()) == ("paused", [second])
    store.runs.resume(first)
    assert store.runs.waiting() == [second, first]
    assert store.runs.get(first).job.request is None


def test_an_ended_run_goes_on_and_a_finished_one_with_more_epochs(store: Store) -> None:
    run = store.runs.queue(RECIPE)
    with pytest.raises(NotNow, match="is queued"):
        store.runs.resume(run)
    claim(store, "me")
    end(store, run, "failed", message=Message("the disk was full"))
    store.runs.resume(run)
    assert (store.runs.get(run).status, store.runs.get(run).job.message) == ("queued", None)
    claim(store, "me")
    end(store, run, "finished", seconds=1.0)
    with pytest.raises(NotNow, match="give it more of them"):
        store.runs.resume(run)
    store.runs.resume(run, epochs=RECIPE.epochs + 5)
    assert store.runs.get(run).recipe.epochs == RECIPE.epochs + 5
    with pytest.raises(UnknownRun):
        store.runs.resume(99)


def test_seconds_never_become_fewer(store: Store) -> None:
    run = store.runs.queue(RECIPE)
    for told, kept in ((1.0, 1.0), (0.9, 1.0), (None, 1.0), (2.5, 2.5)):
        claim(store, "me")
        end(store, run, "stopped", seconds=told)
        assert store.runs.get(run).job.seconds == kept
        store.runs.resume(run)


def test_the_queue_can_be_put_in_another_order(store: Store) -> None:
    first, second, third = (store.runs.queue(RECIPE) for _ in range(3))
    store.runs.move(third, 0)
    assert store.runs.waiting() == [third, first, second]
    store.runs.move(third, 2)
    assert store.runs.waiting() == [first, second, third]
    claimed = claim(store, "me")
    assert claimed is not None
    assert claimed.id == first
    store.runs.move(first, 0)
    assert store.runs.waiting() == [second, third]
    assert store.runs.get(first).status == "running"


def test_a_lost_run_is_given_back_once_and_comes_first(store: Store) -> None:
    lost, waiting = store.runs.queue(RECIPE), store.runs.queue(RECIPE)
    run = claim(store, "gone")
    assert run is not None
    assert [store.jobs.requeue(run.job), store.jobs.requeue(run.job)] == [True, False]
    assert store.runs.waiting() == [lost, waiting]
    assert store.runs.get(lost).job.losses == 1


def test_only_the_worker_that_has_a_run_is_heard(store: Store) -> None:
    run = store.runs.queue(RECIPE)
    claim(store, "me")
    assert beat(store, run, "me")
    assert not beat(store, run, "another")
    store.runs.append(run, [step(1)], "me")
    with pytest.raises(TakenOver, match="taken up by another process"):
        store.runs.append(run, [step(2)], "another")
    assert store.runs.steps(run)[:, 0].tolist() == [1]
    end(store, run, "failed", "another", message=Message("not mine"))
    assert store.runs.get(run).status == "running"
    end(store, run, "finished", "me")
    assert not beat(store, run, "me")


def test_what_is_written_again_because_the_answer_was_lost_is_there_once(store: Store) -> None:
    run = store.runs.queue(RECIPE)
    ended = EpochEnded(1, metrics(), metrics(), 1.0, 1.0)
    for _ in range(2):
        store.runs.append(run, [step(1), step(2), ended, Notice(Message("one"))])
    store.runs.append(run, [Notice(Message("two"))])
    assert store.runs.steps(run)[:, 0].tolist() == [1, 2]
    assert [event for _, event in store.runs.events(run)] == [ended, Notice(Message("one")), Notice(Message("two"))]


def test_a_run_that_goes_on_forgets_what_came_after_its_checkpoint(store: Store) -> None:
    run = store.runs.queue(RECIPE)
    epochs = [epoch_ended(1, zeros=0.5), epoch_ended(2, kept=False), epoch_ended(3)]
    store.runs.append(run, [STARTED, *(step(n) for n in range(1, 7)), *epochs])
    assert store.runs.get(run).kept_epoch == 3
    store.runs.append(run, [replace(STARTED, epochs_done=1, steps_done=3)])
    assert store.runs.steps(run)[:, 0].tolist() == [1, 2, 3]
    assert [e.epoch for _, e in store.runs.events(run) if isinstance(e, EpochEnded)] == [1]
    assert (store.runs.get(run).kept_epoch, store.runs.get(run).zeros) == (1, 0.5)
    store.runs.append(run, [step(4), epochs[1]])
    assert store.runs.get(run).kept_epoch == 1
    store.runs.append(run, [STARTED])
    known = store.runs.get(run)
    assert (known.kept_epoch, known.val, known.balanced_accuracy, known.zeros) == (None, None, None, None)


def test_in_a_history_that_says_nothing_of_keeping_the_lowest_loss_counts(store: Store) -> None:
    run = store.runs.queue(RECIPE)
    losses = [(1.0, 1 / 6), (0.5, 5 / 6), (0.7, 1.0), (0.5, 4 / 6)]
    told = [EpochEnded(n, metrics(), metrics(*one), 1.0, 1.0) for n, one in enumerate(losses, start=1)]
    store.runs.append(run, [STARTED, *told])
    store.runs.append(run, [replace(STARTED, epochs_done=4)])
    assert (store.runs.get(run).kept_epoch, store.runs.get(run).val) == (2, Score(5, 6))
    store.runs.append(run, [replace(STARTED, epochs_done=1)])
    assert (store.runs.get(run).kept_epoch, store.runs.get(run).val) == (1, Score(1, 6))


def test_labels_are_kept(store: Store) -> None:
    run = store.runs.queue(RECIPE)
    assert (store.runs.get(run).name, store.runs.get(run).tags, store.runs.get(run).starred) == ("", (), False)
    store.runs.annotate(run, name="<b>x</b>", note="fine\nday", tags=("a", "b c"))
    store.runs.annotate(run, starred=True)
    labelled = store.runs.get(run)
    assert (labelled.name, labelled.note, labelled.tags) == ("<b>x</b>", "fine\nday", ("a", "b c"))
    assert labelled.starred


def test_a_deleted_run_can_come_back_until_it_is_purged(store: Store) -> None:
    live, ended = store.runs.queue(RECIPE), store.runs.queue(RECIPE)
    store.runs.append(ended, [step(1), Notice(Message("one"))])
    store.runs.request_stop(ended)
    store.runs.delete([live, ended])
    assert [run.id for run in store.runs.all()] == [live]
    with pytest.raises(UnknownRun):
        store.runs.get(ended)
    assert store.runs.purge(60) == []
    store.runs.undelete([ended])
    assert store.runs.get(ended).status == "stopped"
    store.runs.delete([ended])
    assert store.runs.purge(-1) == [ended]
    store.runs.undelete([ended])
    assert [run.id for run in store.runs.all()] == [live]
    assert len(store.runs.steps(ended)) == 0


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
    store = store_at(f"sqlite:///{file}")
    assert [(run.id, run.status, run.recipe, run.tags) for run in store.runs.all()] == [(1, "finished", RECIPE, ())]
    assert store.runs.queue(RECIPE) == 2


def test_a_locked_database_is_an_error_in_words(tmp_path: Path) -> None:
    file = tmp_path / "runs.sqlite"
    store = store_at(f"sqlite:///{file}?timeout=0")
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with store.database._engine.connect() as connection:  # No test waits for the whole of the store's patience.
            connection.exec_driver_sql("PRAGMA busy_timeout=1")
        with pytest.raises(StoreUnavailable, match="database is locked"):
            store.runs.queue(RECIPE)
        other.rollback()
    assert store.runs.queue(RECIPE) == 1
