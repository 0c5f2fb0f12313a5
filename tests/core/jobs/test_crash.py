"""kill -9 at any moment: the run is taken up again and ends with the very weights, its history whole."""

import random
import sys
import time
from pathlib import Path

import pytest

from core import home
from core.events import EpochEnded
from core.jobs.job import Run
from core.jobs.store import Store, open_store
from core.jobs.worker import LOST_RUN, TRIES
from core.recipe import Recipe
from core.training import kept_model
from tests.conftest import MakeFolder, small_recipe
from tests.core.jobs.processes import start, work_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers of these tests are forked")
CRASHES = 20


def weights(run: int) -> dict[str, bytes]:
    state = kept_model.load_model(home.weights_file(run)).state
    return {name: tensor.numpy().tobytes() for name, tensor in state.items()}


def losses(store: Store, run: int) -> list[list[float]]:
    rows: list[list[float]] = store.runs.steps(run).tolist()
    return rows


def epochs(store: Store, run: int) -> list[tuple[object, ...]]:
    return [(e.epoch, e.train, e.val) for _, e in store.runs.events(run) if isinstance(e, EpochEnded)]


def finished(store: Store, thaw_home: Path, recipe: Recipe, kills: list[float]) -> Run:
    """A run that is killed so many seconds after each start, until none are left."""
    run = store.runs.queue(recipe)
    for seconds in kills:
        work_for(thaw_home, seconds)
    assert work_for(thaw_home, 120)
    return store.runs.get(run)


@pytest.fixture
def store() -> Store:
    return open_store()


def test_a_run_whose_worker_is_killed_ends_as_if_nothing_had_been(
    store: Store, thaw_home: Path, make_folder: MakeFolder
) -> None:
    given = {"backbone": "mobilenet_v2", "trainable": ["stage7", "conv", "head"], "epochs": 8}
    recipe = small_recipe(make_folder(a=10, b=10), **given)
    finished(store, thaw_home, recipe, [])  # Loads torch, and computes the features.
    begin = time.monotonic()
    whole = finished(store, thaw_home, recipe, [])
    span = time.monotonic() - begin
    draw = random.Random(0)
    crashes = 0
    while crashes < CRASHES:
        kills = [draw.uniform(0.0, span) for _ in range(min(TRIES, CRASHES - crashes))]
        crashes += len(kills)
        run = finished(store, thaw_home, recipe, kills)
        assert (run.status, run.job.message) == ("finished", None), kills
        assert losses(store, run.id) == losses(store, whole.id), kills
        assert epochs(store, run.id) == epochs(store, whole.id), kills
        assert weights(run.id) == weights(whole.id), kills
        assert (run.kept_epoch, run.val) == (whole.kept_epoch, whole.val)


def test_a_run_that_loses_every_worker_fails_and_the_next_one_has_its_turn(
    store: Store, thaw_home: Path, make_folder: MakeFolder
) -> None:
    data = make_folder(a=10, b=10)
    deadly = store.runs.queue(small_recipe(data, epochs=5000))
    for _ in range(TRIES + 1):
        seen = len(store.runs.steps(deadly))
        process = start(thaw_home)
        while len(store.runs.steps(deadly)) <= seen:
            assert process.is_alive()
            process.join(0.05)
        process.kill()
        process.join()
    assert store.runs.get(deadly).job.losses == TRIES
    last = store.runs.queue(small_recipe(data, epochs=1))
    assert work_for(thaw_home, 60)
    failed = store.runs.get(deadly)
    assert (failed.status, failed.job.message) == ("failed", LOST_RUN)
    assert store.runs.get(last).status == "finished"
    assert len(store.runs.steps(deadly)) > 0
