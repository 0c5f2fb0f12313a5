"""The queue of jobs of all kinds: one job for all who want the same, each claimed once, ended once."""

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from core.errors import TakenOver
from core.events import Notice, Progress
from core.jobs.job import Job, Lane, Status
from core.jobs.store import Store, store_at
from core.jobs.store.database import jobs as jobs_table
from core.messages import Message

HERE, ELSEWHERE = "a" * 32, "b" * 32
"""Two THAW_HOMEs."""


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


def ask(store: Store, key: str | None = None, kind: str = "inspect", home: str | None = HERE) -> Job:
    """Ask for light work; the same `key` is the same work."""
    return store.jobs.submit(kind, "light", {"n": 1}, home=home, shared_key=key, about="data:x")


def claim(store: Store, worker: str = "me", lane: Lane = "light") -> Job:
    job = store.jobs.claim(worker, lane, HERE)
    assert job is not None
    return job


def status(store: Store, job: Job) -> Status:
    known = store.jobs.get(job.id)
    assert known is not None
    return known.status


def test_the_same_request_is_one_job_while_it_waits_runs_and_when_it_is_done(store: Store) -> None:
    first = ask(store, "same")
    assert ask(store, "same").id == first.id
    assert claim(store).id == first.id
    assert (ask(store, "same").id, ask(store, "same").status) == (first.id, "running")
    store.jobs.end(first.id, "finished", "me", result={"found": 1})
    again = ask(store, "same")
    assert (again.id, again.status, again.result) == (first.id, "finished", {"found": 1})
    assert ask(store, "another").id != first.id
    assert len(store.jobs.live()) == 1


@pytest.mark.parametrize("how", ["failed", "stopped"])
def test_what_failed_or_was_stopped_is_done_anew(store: Store, how: Status) -> None:
    first = ask(store, "same")
    claim(store)
    store.jobs.end(first.id, how, "me")
    second = ask(store, "same")
    assert (second.id != first.id, second.status) == (True, "queued")
    assert ask(store, "same").id == second.id
    shared = store.jobs.shared("same")
    assert shared is not None
    assert shared.id == second.id


def test_a_job_that_was_asked_for_anew_is_not_undone_by_the_old_one(store: Store) -> None:
    stopped = ask(store, "same")
    store.jobs.request_stop(stopped.id)
    ask(store, "same")
    assert not store.jobs.end(stopped.id, "finished")
    assert status(store, stopped) == "stopped"


def test_eight_who_ask_at_once_get_one_job(open_store: Callable[[], Store]) -> None:
    stores = [open_store() for _ in range(8)]
    for round_ in range(5):
        together = threading.Barrier(8)

        def press(one: Store, key: str = f"round {round_}", wait: threading.Barrier = together) -> str:
            wait.wait()
            return ask(one, key).id

        with ThreadPoolExecutor(8) as threads:
            assert len(set(threads.map(press, stores))) == 1
    assert len(stores[0].jobs.live()) == 5


def test_what_is_not_shared_is_done_as_often_as_it_is_asked_for(store: Store) -> None:
    assert len({ask(store, None, "archive").id for _ in range(3)}) == 3
    assert len(store.jobs.live()) == 3


def test_a_claim_is_narrowed_by_lane_kinds_and_home(store: Store) -> None:
    slow, quick = ask(store, kind="archive"), ask(store, kind="preview")
    training = store.jobs.submit("train", "training", {})
    assert store.jobs.claim("me", "light", ELSEWHERE) is None
    assert store.jobs.claim("me", "light", HERE, []) is None
    assert store.jobs.claim("me", "light", HERE, ["camera"]) is None
    first = store.jobs.claim("me", "light", HERE, ["preview", "camera"])
    assert first is not None
    assert (first.id, first.status, first.worker) == (quick.id, "running", "me")
    assert first.heartbeat is not None
    assert claim(store).id == slow.id
    assert store.jobs.claim("me", "light", HERE) is None
    assert claim(store, lane="training").id == training.id


def test_a_light_job_runs_only_where_it_was_asked_for(store: Store) -> None:
    here, there = ask(store, home=HERE), ask(store, home=ELSEWHERE)
    assert [job.id for job in store.jobs.live(HERE)] == [here.id]
    assert [job.id for job in store.jobs.live()] == [here.id, there.id]
    assert claim(store).id == here.id
    assert store.jobs.claim("me", "light", HERE) is None
    assert store.jobs.claim("me", "light", None) is None


def test_many_who_claim_at_once_get_a_job_each(open_store: Callable[[], Store]) -> None:
    stores = [open_store() for _ in range(6)]
    asked = {ask(stores[0]).id for _ in range(4)}
    together = threading.Barrier(6)

    def take(number: int) -> str | None:
        together.wait()
        job = stores[number].jobs.claim(f"worker {number}", "light", HERE)
        return job and job.id

    with ThreadPoolExecutor(6) as threads:
        taken = list(threads.map(take, range(6)))
    got = [job for job in taken if job]
    assert len(got) == len(set(got))
    while more := stores[0].jobs.claim("last", "light", HERE):  # On PostgreSQL, two may reach for the same one.
        got.append(more.id)
    assert sorted(got) == sorted(asked)


def test_the_first_who_ask_are_served_first(store: Store) -> None:
    asked = [ask(store).id for _ in range(5)]
    assert [claim(store).id for _ in asked] == asked


def test_a_job_that_is_claimed_at_once_never_waits(store: Store) -> None:
    job = store.jobs.submit("archive", "light", {}, home=HERE, worker="me")
    assert (job.status, job.worker) == ("running", "me")
    assert store.jobs.claim("another", "light", HERE) is None


def test_wishes_reach_the_worker(store: Store) -> None:
    job = ask(store)
    claim(store)
    assert (store.jobs.wish(job.id), store.jobs.beat(job.id, "me")) == (None, None)
    store.jobs.request_pause(job.id)
    assert (store.jobs.wish(job.id), store.jobs.beat(job.id, "me")) == ("pause", "pause")
    store.jobs.request_stop(job.id)
    assert (store.jobs.wish(job.id), store.jobs.say(job.id, [], "me")) == ("stop", "stop")
    assert status(store, job) == "running"
    assert store.jobs.wish("nobody knows it") == "stop"


def test_what_waits_is_stopped_or_laid_aside_at_once(store: Store) -> None:
    stopped, paused = ask(store), ask(store)
    store.jobs.request_stop(stopped.id)
    store.jobs.request_pause(paused.id)
    assert (status(store, stopped), status(store, paused)) == ("stopped", "paused")
    assert store.jobs.claim("me", "light", HERE) is None
    store.jobs.request_stop(paused.id)
    assert status(store, paused) == "stopped"


def test_an_end_is_final(store: Store) -> None:
    job = ask(store)
    claim(store)
    assert not store.jobs.end(job.id, "failed", "another", message=Message("not mine"))
    assert store.jobs.end(job.id, "failed", "me", message=Message("{x} broke", x=1), traceback="lines", seconds=2.5)
    assert not store.jobs.end(job.id, "finished", "me", result={})
    store.jobs.request_stop(job.id)
    store.jobs.request_pause(job.id)
    ended = store.jobs.get(job.id)
    assert ended is not None
    assert (ended.status, ended.message, ended.traceback) == ("failed", Message("{x} broke", x=1), "lines")
    assert (ended.seconds, ended.result, ended.request) == (2.5, None, None)
    with pytest.raises(TakenOver):
        store.jobs.beat(job.id, "me")
    with pytest.raises(TakenOver):
        store.jobs.say(job.id, [], "me")


def test_progress_is_the_stage_under_way(store: Store) -> None:
    job = ask(store)
    claim(store)
    said = Progress(Message("Reading {name}", name="{x}"), 3, 10)
    store.jobs.say(job.id, [Progress(Message("before"), 1, 1), said], "me")
    known = store.jobs.get(job.id)
    assert known is not None
    assert known.progress == said
    with pytest.raises(TakenOver):
        store.jobs.say(job.id, [Progress(Message("mine"), 1, 1)], "another")
    assert store.jobs.get(job.id) == known
    store.jobs.say(job.id, [said, Notice(Message("something else"))], "me")
    other = store.jobs.get(job.id)
    assert other is not None
    assert other.progress is None


def test_a_lost_job_comes_first_again_and_once(store: Store) -> None:
    lost, waiting = ask(store), ask(store)
    gone = claim(store, "gone")
    store.jobs.say(gone.id, [Progress(Message("half"), 1, 2)], "gone")
    assert [store.jobs.requeue(gone), store.jobs.requeue(gone)] == [True, False]
    again = claim(store, "next")
    assert (again.id, again.losses, again.progress) == (lost.id, 1, None)
    assert not store.jobs.requeue(gone), "it is the next worker's by now"
    with pytest.raises(TakenOver):
        store.jobs.say(lost.id, [], "gone")
    assert not store.jobs.end(lost.id, "finished", "gone")
    assert claim(store).id == waiting.id


def test_bound_to_a_home_a_job_is_claimed_there_only(store: Store) -> None:
    job = store.jobs.submit("train", "training", {})
    store.jobs.bind(job.id, HERE)
    assert store.jobs.claim("me", "training", ELSEWHERE) is None
    assert claim(store, lane="training").id == job.id


def test_ended_jobs_about_something_are_listed_the_newest_first(store: Store) -> None:
    asked = [ask(store).id for _ in range(3)]
    for _ in asked:
        store.jobs.end(claim(store).id, "finished", "me", result={})
    ask(store)
    store.jobs.submit("inspect", "light", {}, home=HERE, about="data:y")
    assert [job.id for job in store.jobs.ended("data:x")] == asked[::-1]
    assert store.jobs.ended("data:y") == []


def test_a_job_can_learn_at_its_end_what_it_is_about(store: Store) -> None:
    imported = store.jobs.submit("archive", "light", {}, home=HERE)
    claim(store)
    store.jobs.end(imported.id, "finished", "me", about="data:new")
    assert [job.id for job in store.jobs.ended("data:new")] == [imported.id]


def test_jobs_that_left_nothing_are_forgotten_after_a_while(store: Store) -> None:
    ends: tuple[Status, ...] = ("failed", "stopped", "finished")
    ended = {how: ask(store) for how in ends}
    for how, job in ended.items():
        claim(store)
        store.jobs.end(job.id, how, "me")
    other = ask(store, home=ELSEWHERE)
    store.jobs.request_stop(other.id)
    run = store.jobs.submit("train", "training", {}, home=HERE)
    store.jobs.request_stop(run.id)
    young = ask(store)
    store.jobs.request_stop(young.id)
    waiting = ask(store)
    long_ago = sa.update(jobs_table).values(created=dt.datetime(2026, 1, 1))
    with store.database.transaction() as connection:
        connection.execute(long_ago.where(jobs_table.c.id != young.id))
    store.jobs.forget_ended(3600, HERE)
    there = [job for job in (*ended.values(), other, run, young, waiting) if store.jobs.get(job.id)]
    assert there == [ended["finished"], other, run, young, waiting]


def test_only_ended_jobs_are_forgotten(store: Store) -> None:
    live, ended = ask(store), ask(store)
    store.jobs.request_stop(ended.id)
    store.jobs.forget([live.id, ended.id])
    assert [store.jobs.get(job.id) is None for job in (live, ended)] == [False, True]


def test_a_job_is_read_as_it_was_added(store: Store) -> None:
    parent = ask(store)
    arguments = {"text": "ä {x} %", "list": [1, 2.5, None, True], "inner": {"a": {}}}
    job = store.jobs.submit(
        "preview", "light", arguments, home=HERE, about="run:7", shared_key="k" * 64, parent=parent.id
    )
    assert store.jobs.get(job.id) == job
    assert (job.arguments, job.parent, job.about, job.kind) == (arguments, parent.id, "run:7", "preview")
    assert abs((dt.datetime.now(dt.UTC).replace(tzinfo=None) - job.created).total_seconds()) < 600
