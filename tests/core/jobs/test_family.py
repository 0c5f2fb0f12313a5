"""Families: repeats and folds are ordinary runs beneath a run of their own, which is in the state that they are in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from core import home
from core.errors import NotNow, UnknownRun
from core.events import EpochEnded, Metrics, RunStarted
from core.figures import Score
from core.jobs.family import children, each_picture_once, figures, status_of
from core.jobs.job import Run, Status
from core.jobs.process import process_id
from core.jobs.store import Store, store_at
from core.jobs.worker import requeue_lost
from core.recipe import Recipe, Seeds
from core.recipe_settings import parse, to_settings
from core.training.kept_model import load_changes
from tests.conftest import MakeFolder, small_recipe
from tests.core.jobs.by_number import bind, claim, end
from tests.core.jobs.processes import work_for


def recipe(**settings: Any) -> Recipe:
    return parse({"data": "photos", **settings})


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = store_at(database_url)
    yield opened
    opened.database.close()


def numbers(runs: list[Run]) -> list[int]:
    return [run.id for run in runs]


def statuses(store: Store, run: int) -> list[Status]:
    return [child.status for child in store.runs.get(run).children]


# What a recipe's children are.


@pytest.mark.parametrize("settings", [{}, {"folds": 4, "fold": 2}, {"seed": 7, "split_seed": 1}])
def test_most_recipes_are_single_runs(settings: dict[str, Any]) -> None:
    assert children(recipe(**settings)) == ()


def test_repeats_have_other_seeds_of_weights_and_order_and_one_split() -> None:
    born = children(recipe(repeats=3, seed=5, order_seed=40))
    assert [child.seeds for child in born] == [Seeds(5, 5, 40), Seeds(5, 6, 41), Seeds(5, 7, 42)]
    assert {child.repeats for child in born} == {1}
    assert all(children(child) == () for child in born)


def test_the_first_repeat_is_the_plain_run() -> None:
    assert children(recipe(repeats=2, seed=5))[0] == recipe(seed=5)


def test_after_the_last_seed_comes_the_first() -> None:
    assert [child.seeds.init for child in children(recipe(repeats=2, seed=2**53 - 1))] == [2**53 - 1, 0]
    for child in children(recipe(repeats=2, seed=2**53 - 1)):
        assert parse(to_settings(child)) == child


def test_folds_are_held_out_one_by_one() -> None:
    born = children(recipe(folds=3, seed=2))
    assert list(born) == [recipe(folds=3, fold=fold, seed=2) for fold in (1, 2, 3)]


def test_repeats_of_folds_are_all_there_fold_by_fold() -> None:
    born = children(recipe(folds=2, repeats=2))
    assert [(child.fold, child.seeds.init, child.seeds.split) for child in born] == [
        (1, 0, 0),
        (1, 1, 0),
        (2, 0, 0),
        (2, 1, 0),
    ]


def test_one_fold_can_be_repeated() -> None:
    assert [(child.fold, child.seeds.init) for child in children(recipe(folds=4, fold=3, repeats=2))] == [
        (3, 0),
        (3, 1),
    ]


@pytest.mark.parametrize(
    ("those", "whole"),
    [
        (["queued", "queued"], "queued"),
        (["queued", "running"], "running"),
        (["finished", "running"], "running"),
        (["finished", "queued"], "running"),
        (["failed", "queued"], "running"),
        (["paused", "queued"], "queued"),
        (["finished", "paused"], "paused"),
        (["finished", "failed", "stopped"], "failed"),
        (["finished", "stopped"], "stopped"),
        (["finished", "finished"], "finished"),
        ([], "stopped"),
    ],
)
def test_a_family_is_in_the_state_of_its_children(those: list[Status], whole: Status) -> None:
    assert status_of(those) == whole


# In the store.


def test_a_family_has_a_number_and_its_children_those_after_it(store: Store) -> None:
    family = store.runs.queue(recipe(repeats=3))
    other = store.runs.queue(recipe())
    known = store.runs.get(family)
    assert (known.is_family, known.status, known.live) == (True, "queued", True)
    assert known.recipe == recipe(repeats=3)
    assert [child.id for child in known.children] == [family + 1, family + 2, family + 3]
    assert {child.parent for child in known.children} == {family}
    assert tuple(child.recipe for child in known.children) == children(recipe(repeats=3))
    assert numbers(store.runs.all()) == [other, family, family + 1, family + 2, family + 3]
    assert store.runs.all()[1] == known
    assert store.runs.waiting() == [family + 1, family + 2, family + 3, other]


def test_nobody_claims_the_family_itself(store: Store) -> None:
    family = store.runs.queue(recipe(folds=2))
    claimed = [claim(store, "me"), claim(store, "me"), claim(store, "me")]
    assert [run and run.id for run in claimed] == [family + 1, family + 2, None]
    assert claimed[0] is not None
    assert claimed[0].recipe == recipe(folds=2, fold=1)


def test_the_state_follows_the_children(store: Store) -> None:
    family = store.runs.queue(recipe(repeats=2))
    seen = [store.runs.get(family).status]
    for child in (family + 1, family + 2):
        claim(store, "me")
        seen.append(store.runs.get(family).status)
        end(store, child, "finished", "me", seconds=2.0)
        seen.append(store.runs.get(family).status)
    assert seen == ["queued", "running", "running", "running", "finished"]
    assert store.runs.get(family).job.seconds == 4.0
    assert numbers(store.runs.all("finished")) == [family, family + 1, family + 2]
    assert store.runs.all("running") == []


def test_a_pause_lays_all_children_aside_and_resume_takes_them_up_in_order(store: Store) -> None:
    family = store.runs.queue(recipe(repeats=3))
    claim(store, "me")
    store.runs.request_pause(family)
    assert statuses(store, family) == ["running", "paused", "paused"]
    assert store.runs.get(family).job.request == "pause"
    assert store.runs.append(family + 1, [], "me") == "pause"
    end(store, family + 1, "paused", "me")
    assert store.runs.get(family).status == "paused"
    store.runs.resume(family)
    assert statuses(store, family) == ["queued"] * 3
    assert store.runs.waiting() == [family + 1, family + 2, family + 3]


def test_a_stop_ends_those_that_wait_and_asks_the_one_at_work(store: Store) -> None:
    family, other = store.runs.queue(recipe(repeats=3)), store.runs.queue(recipe())
    claim(store, "me")
    end(store, family + 1, "finished", "me")
    claim(store, "me")
    store.runs.request_stop(family)
    assert statuses(store, family) == ["finished", "running", "stopped"]
    assert store.runs.append(family + 2, [], "me") == "stop"
    end(store, family + 2, "stopped", "me")
    assert store.runs.get(family).status == "stopped"
    assert store.runs.waiting() == [other]
    store.runs.resume(family)
    assert statuses(store, family) == ["finished", "queued", "queued"]


def test_more_epochs_are_for_all_children(store: Store) -> None:
    family = store.runs.queue(recipe(repeats=2, epochs=3))
    for child in (family + 1, family + 2):
        claim(store, "me")
        end(store, child, "finished", "me")
    with pytest.raises(NotNow, match="give it more"):
        store.runs.resume(family)
    store.runs.resume(family, 5)
    known = store.runs.get(family)
    assert known.recipe == recipe(repeats=2, epochs=5)
    assert tuple(child.recipe for child in known.children) == children(recipe(repeats=2, epochs=5))
    assert statuses(store, family) == ["queued", "queued"]


def test_a_failure_is_said_with_its_number(store: Store) -> None:
    family = store.runs.queue(recipe(repeats=2))
    for child, how in ((family + 1, "finished"), (family + 2, "failed")):
        claim(store, "me")
        end(store, child, how, "me", message=store.runs.get(family).job.message)
    known = store.runs.get(family)
    assert known.status == "failed"
    assert f"Run {family + 2} failed" in str(known.job.message)
    store.runs.resume(family)
    assert statuses(store, family) == ["finished", "queued"]
    assert store.runs.get(family).job.message is None


def test_what_is_written_on_a_family_is_on_its_children(store: Store) -> None:
    family, other = store.runs.queue(recipe(repeats=2)), store.runs.queue(recipe())
    store.runs.annotate(family, starred=True, tags=("course",))
    assert {run.id: run.tags for run in store.runs.all() if run.starred} == dict.fromkeys(
        range(family, family + 3), ("course",)
    )
    store.runs.annotate(family + 1, starred=False)
    assert numbers([run for run in store.runs.all() if run.starred]) == [family, family + 2]
    assert not store.runs.get(other).starred


def test_a_family_moves_in_the_queue_as_one(store: Store) -> None:
    first = store.runs.queue(recipe())
    family = store.runs.queue(recipe(repeats=2))
    last = store.runs.queue(recipe())
    store.runs.move(family, 0)
    assert store.runs.waiting() == [family + 1, family + 2, first, last]
    store.runs.move(family, 2)
    assert store.runs.waiting() == [first, last, family + 1, family + 2]


def test_a_family_is_deleted_with_its_children_brought_back_and_forgotten(store: Store) -> None:
    here = "a" * 32
    family, other = store.runs.queue(recipe(repeats=2)), store.runs.queue(recipe())
    claim(store, "me")
    end(store, family + 1, "finished", "me")
    store.runs.delete([family])
    assert numbers(store.runs.all()) == [other, family, family + 1, family + 2], "one still waits"
    store.runs.request_stop(family)
    store.runs.delete([family])
    assert numbers(store.runs.all()) == [other]
    with pytest.raises(UnknownRun):
        store.runs.get(family)
    store.runs.undelete([family])
    assert numbers(store.runs.all()) == [other, family, family + 1, family + 2]
    store.runs.delete([family])
    forgotten = [sorted(store.runs.purge(-1, here)) for _ in range(3)]
    assert forgotten == [[family + 1, family + 2], [family], []]
    assert numbers(store.runs.all()) == [other]


def test_a_family_stays_as_long_as_a_child_that_another_machine_has(store: Store) -> None:
    here, elsewhere = "a" * 32, "b" * 32
    family = store.runs.queue(recipe(repeats=2))
    claim(store, "me")
    bind(store, family + 1, elsewhere)
    end(store, family + 1, "finished", "me")
    store.runs.request_stop(family)
    store.runs.delete([family])
    assert [store.runs.purge(-1, here) for _ in range(2)] == [[family + 2], []]
    assert [store.runs.purge(-1, elsewhere) for _ in range(2)] == [[family + 1], [family]]


def test_a_child_may_be_deleted_by_itself(store: Store) -> None:
    family = store.runs.queue(recipe(repeats=2))
    store.runs.request_stop(family + 1)
    store.runs.delete([family + 1])
    assert [child.id for child in store.runs.get(family).children] == [family + 2]
    store.runs.request_stop(family + 2)
    store.runs.delete([family + 2])
    assert (store.runs.get(family).status, store.runs.get(family).children) == ("stopped", ())
    store.runs.resume(family)
    assert store.runs.waiting() == []


# Its figures.


def score(store: Store, run: int, right: int, images: int) -> None:
    """Let a run say that this many answers were right."""
    started = RunStarted(("a", "b"), 8, images, 1, 1, 1, 2, "cpu", "fp32")
    metrics = Metrics(loss=1.0, cross_entropy=1.0, l1=0.0, l2=0.0, accuracy=right / images)
    counts = tuple(one for one in ((0, 0, right), (0, 1, images - right)) if one[2])
    store.runs.append(run, [started, EpochEnded(1, metrics, metrics, 0.1, 9.0, counts, kept=True)])


def test_repeats_have_a_mean_and_a_range_and_are_not_pooled(store: Store) -> None:
    family = store.runs.queue(recipe(repeats=2))
    assert figures(store.runs.get(family)) is None
    score(store, family + 1, 30, 40)
    assert str(figures(store.runs.get(family))) == "mean 75.0 %, of 1 run (30 of 40)"
    score(store, family + 2, 36, 40)
    known = store.runs.get(family)
    assert str(figures(known)) == "mean 82.5 %, 75 to 90 % of 2 runs (30 of 40, 36 of 40)"
    assert (known.val, each_picture_once(known)) == (None, None)


def test_counts_of_folds_are_one_once_all_are_there(store: Store) -> None:
    family = store.runs.queue(recipe(folds=2))
    score(store, family + 1, 9, 10)
    assert each_picture_once(store.runs.get(family)) is None
    score(store, family + 2, 8, 11)
    assert each_picture_once(store.runs.get(family)) == Score(17, 21)
    assert "each picture once: 81.0 % (17 of 21, 95 % interval" in str(figures(store.runs.get(family)))


def test_repeated_folds_are_not_pooled(store: Store) -> None:
    family = store.runs.queue(recipe(folds=2, repeats=2))
    for child in range(1, 5):
        score(store, family + child, 9, 10)
    assert each_picture_once(store.runs.get(family)) is None


# With real workers.


@pytest.fixture
def at_home() -> Iterator[Store]:
    from core.jobs.store import open_store

    opened = open_store()
    yield opened
    opened.database.close()


def test_a_worker_trains_the_children_and_the_first_is_the_plain_run(
    at_home: Store, thaw_home: Path, make_folder: MakeFolder
) -> None:
    data = make_folder(a=8, b=8)
    plain = at_home.runs.queue(small_recipe(data, repeats=1))
    family = at_home.runs.queue(small_recipe(data, repeats=2))
    assert work_for(thaw_home, 60)
    assert at_home.runs.get(family).status == "finished"
    weights = [load_changes(home.weights_file(number)).state for number in (plain, family + 1, family + 2)]
    same, other = (
        all(torch.equal(tensor, one[name]) for name, tensor in weights[0].items() if name.startswith("fc."))
        for one in weights[1:]
    )
    assert (same, other) == (True, False)
    known = at_home.runs.get(family)
    assert known.spread is not None
    assert [one.images for one in known.spread.scores] == [4, 4]
    assert not home.weights_file(family).exists()


def test_each_picture_validates_in_one_fold(at_home: Store, thaw_home: Path, make_folder: MakeFolder) -> None:
    family = at_home.runs.queue(small_recipe(make_folder(a=7, b=9), folds=3))
    assert work_for(thaw_home, 60)
    known = at_home.runs.get(family)
    once = each_picture_once(known)
    assert once is not None
    assert once.images == 16


def test_the_run_of_a_lost_worker_is_taken_up_within_its_family(store: Store) -> None:
    family = store.runs.queue(recipe(repeats=2))
    claim(store, "/".join((process_id().split("/")[0], "999999999", "1")))
    (line,) = requeue_lost(store)
    assert f"run {family + 1}: its worker" in line
    assert store.runs.waiting() == [family + 1, family + 2]
    assert store.runs.get(family).status == "queued"
