"""The store keeps what it is told, and hands each run to exactly one worker."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.errors import UnknownRun
from core.events import ArtifactSaved, EpochEnded, Metrics, Notice, Progress, StepEnded
from core.recipe import parse
from core.runs.store import STEP_COLUMNS, Run, Store

ROOT = Path(__file__).parents[3]
RECIPE = parse({"data": "photos", "trainable": ["head", "layer4.1"]})


def metrics(loss: float = 1.0, accuracy: float = 0.5) -> Metrics:
    return Metrics(loss=loss, cross_entropy=loss, l1=0.0, l2=0.0, accuracy=accuracy)


def step(number: int) -> StepEnded:
    return StepEnded(number, 1, 0.1, metrics(loss=1 / number))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'runs.sqlite'}")


def test_many_processes_may_open_new_stores_at_once(tmp_path: Path) -> None:
    """They wait for a file to appear, and so open one new store after the other within the same milliseconds."""
    code = (
        "import sys, pathlib; from core.runs.store import Store; print('ready', flush=True)\n"
        "while not pathlib.Path(sys.argv[1]).exists(): pass\n"
        "for number in range(20): Store(f'{sys.argv[2]}.{number}')"
    )
    go, url = tmp_path / "go", f"sqlite:///{(tmp_path / 'new.sqlite').as_posix()}"
    command = [sys.executable, "-c", code, str(go), url]
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


def test_of_many_workers_each_gets_other_runs(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.sqlite'}"
    store = Store(url)
    queued = [store.queue(RECIPE) for _ in range(24)]
    claimed: list[Run] = []

    def work() -> None:
        own = Store(url)
        while run := own.claim(threading.current_thread().name):
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


def test_a_stop_request_reaches_whoever_writes(store: Store) -> None:
    run = store.queue(RECIPE)
    store.claim("me")
    assert store.append(run, [step(1)]) is False
    store.request_stop(run)
    assert store.append(run, [step(2)]) is True


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


def test_the_store_outlives_its_handles(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.sqlite'}"
    run = Store(url).queue(RECIPE)
    artifact = ArtifactSaved(str(tmp_path), 1)
    Store(url).append(run, [artifact])
    assert [event for _, event in Store(url).events(run)] == [artifact]
