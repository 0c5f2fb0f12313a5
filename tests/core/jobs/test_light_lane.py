"""The light lane with real worker processes: all is served, cancelled, and taken up again after a kill -9."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from core import home
from core.data.datasets import list_datasets
from core.data.scan import scan
from core.jobs import results
from core.jobs.job import Job
from core.jobs.kinds import KINDS, cancel, request
from core.jobs.picture_kinds import PUBLIC, InspectArguments, PublicArguments
from core.jobs.process import LIGHT_PLACES, QUICK_PLACE, ensure_light
from core.jobs.store import Store, open_store
from core.jobs.worker import LOST_JOB, TRIES
from tests.benchmarks.light_lane import PREVIEWS, PSS, thirty_previews
from tests.core.intake.bad_archives import GOOD
from tests.core.jobs import light
from tests.core.jobs.light import ask, at_work, known, large_picture, leftovers, pictures, process_of, until
from tests.core.jobs.processes import FORKED, end_fork_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="workers of these tests are forked and killed"),
]
LONG = 300
"""Large pictures: more than a worker gets through while a test looks at it."""


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("THAW_WORKER_IDLE", "60")
    opened = open_store()
    with light.workers_ended():
        yield opened
    opened.database.close()


def begun(store: Store, kind: str, tmp_path: Path, count: int = LONG) -> Job:
    """A long job, at work."""
    # An inspection says after every 50 pictures how far it is, other work after each.
    job = ask(store, kind, tmp_path, pictures(count, large_picture(1500 if kind == "inspect" else 3000)))
    if kind == "preview":  # It says once that it begins.
        until(store, lambda: known(store, job).progress)
    else:
        until(store, lambda: at_work(store, job))
    return known(store, job)


def ended(store: Store, job: Job) -> Job:
    until(store, lambda: not known(store, job).live)
    return known(store, job)


def imported_afterwards(store: Store, kind: str, tmp_path: Path) -> Path:
    """The place that a kind has works again: the data set of an import there, which needs no torch."""
    other = "camera" if KINDS[kind].is_quick else "upload"
    result = results.read(ended(store, ask(store, other, tmp_path / "other", GOOD)))
    assert result is not None
    return Path(result["data"])


def test_every_kind_ends_with_what_it_was_asked_for(store: Store, tmp_path: Path) -> None:
    asked = {kind: ask(store, kind, tmp_path, GOOD) for kind in light.KINDS}
    done = {kind: ended(store, job) for kind, job in asked.items()}
    assert {kind: job.status for kind, job in done.items()} == dict.fromkeys(light.KINDS, "finished")
    for kind in ("archive", "upload", "camera"):
        result = results.read(done[kind])
        assert result is not None
        assert sorted(picture.label for picture in scan(Path(result["data"])).pictures) == ["a", "a", "bb", "bb"]
    assert len(list_datasets(home.data_folder())) == 3
    inspected, previewed = results.read(done["inspect"]), results.read(done["preview"])
    assert inspected is not None
    assert len(inspected["infos"]) == len(GOOD)
    assert previewed is not None
    assert all(Path(image).is_file() for image in previewed["images"])
    assert not list(home.uploads_folder().iterdir())


def test_an_import_never_makes_quick_work_wait(store: Store, tmp_path: Path) -> None:
    long = begun(store, "archive", tmp_path)
    quick = ended(store, ask(store, "camera", tmp_path, GOOD))
    assert quick.status == "finished"
    assert known(store, long).status == "running"
    assert quick.worker != long.worker
    assert process_of(long).nice() == process_of(quick).nice() == psutil.Process().nice() + 5
    if (group := Path(f"/proc/{process_of(long).pid}/autogroup")).exists():  # Linux shares between sessions first.
        assert group.read_text(encoding="ascii").endswith(" nice 5\n")
    assert len(light.light_processes()) == LIGHT_PLACES
    cancel(store, long.id)
    assert ended(store, long).status == "stopped"


def test_the_quick_place_takes_no_long_work(store: Store, tmp_path: Path) -> None:
    long, quick = ask(store, "archive", tmp_path, GOOD), ask(store, "preview", tmp_path, GOOD)
    ensure_light(1, 0)
    deadline = time.monotonic() + 60
    while known(store, quick).live:  # Nobody sees to the long one here.
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (known(store, quick).status, known(store, long).status) == ("finished", "queued")
    assert str(QUICK_PLACE) in process_of(known(store, quick)).cmdline()
    assert ended(store, long).status == "finished"
    assert process_of(known(store, long)).cmdline()[-1] != str(QUICK_PLACE)


@pytest.mark.skipif(sys.platform != "linux", reason="proportional memory is counted as Linux does")
def test_thirty_previews_at_once_are_served_by_two_processes(store: Store, tmp_path: Path) -> None:
    end_fork_server()  # All tests together are to take at most 3 GB, and this is where they take most.
    crowd = thirty_previews(store, tmp_path)
    assert (crowd.served, crowd.processes) == (PREVIEWS, LIGHT_PLACES)
    assert 0 < crowd.pss <= PSS
    assert crowd.steps_meanwhile > 0


@pytest.mark.parametrize("kind", light.KINDS)
def test_what_waits_is_cancelled_at_once_and_leaves_nothing(store: Store, tmp_path: Path, kind: str) -> None:
    job = ask(store, kind, tmp_path, GOOD)
    cancel(store, job.id)
    assert known(store, job).status == "stopped"
    assert leftovers() == []
    assert light.light_processes() == []


@pytest.mark.parametrize("kind", light.KINDS)
def test_what_runs_is_cancelled_soon_and_leaves_nothing(store: Store, tmp_path: Path, kind: str) -> None:
    job = begun(store, kind, tmp_path, 40 if kind == "preview" else LONG)
    cancel(store, job.id)
    assert until(store, lambda: not known(store, job).live) <= 100
    assert known(store, job).status == "stopped"
    assert known(store, job).message is None
    until(store, lambda: leftovers() == [])
    assert len(scan(imported_afterwards(store, kind, tmp_path)).pictures) == len(GOOD)


def stuck_worker(thaw_home: str, address: str) -> None:
    """A worker at the long place with a kind that never answers, and a server of public data sets that does not."""
    # The fork server has the environment of the test that came first.
    os.environ |= {"THAW_HOME": thaw_home, "THAW_WORKER_IDLE": "60", "no_proxy": "*"}
    from collections.abc import Generator
    from dataclasses import replace

    from core import home
    from core.events import Event, Progress
    from core.intake.public import PUBLIC_SETS
    from core.jobs import worker
    from core.jobs.job import Desk, Kind
    from core.jobs.kinds import KINDS
    from core.messages import Message

    known = PUBLIC_SETS["CIFAR10"]
    PUBLIC_SETS["CIFAR10"] = replace(known, files=tuple(replace(file, url=address) for file in known.files))

    def sleep(_given: InspectArguments, desk: Desk) -> Generator[Event, None, dict[str, str]]:
        for folder in (desk.results, home.data_folder() / f".staging-{desk.job}"):
            folder.mkdir(parents=True)
            (folder / "half").write_bytes(b"half")
        yield Progress(Message("Sleeping"), 1, 2)
        time.sleep(600)
        return {}

    KINDS["stuck"] = Kind(name="stuck", lane="light", arguments=InspectArguments, work=sleep)
    worker.main("light", LIGHT_PLACES - 1)


@pytest.mark.parametrize("kind", ["stuck", "public"])
def test_a_job_that_does_not_answer_has_its_process_started_again(
    store: Store, thaw_home: Path, tmp_path: Path, kind: str
) -> None:
    with ExitStack() as asked, socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/cifar-10-python.tar.gz"
        process = FORKED.Process(target=stuck_worker, args=(str(thaw_home), address))
        process.start()
        assert process.pid is not None
        stuck = psutil.Process(process.pid)
        try:
            if kind == "public":
                job = request(store, PUBLIC, PublicArguments(name="CIFAR10", per_class=1))
                silent.settimeout(60)
                asked.enter_context(silent.accept()[0])
            else:
                given = InspectArguments(data=tmp_path, val_fraction=0.25, seed=0)
                job = store.jobs.submit(
                    "stuck", "light", given.model_dump(mode="json"), home=home.installation_id(), about="data:x"
                )
                until(store, lambda: at_work(store, job))
            assert process_of(known(store, job)).pid == stuck.pid
            cancel(store, job.id)
            assert until(store, lambda: not known(store, job).live) <= 100
            assert (known(store, job).status, known(store, job).message) == ("stopped", None)
            lock = str(home.worker_lock("light", LIGHT_PLACES - 1))
            until(store, lambda: lock in {file.path for file in stuck.open_files()})
            again = ended(store, ask(store, "archive", tmp_path, GOOD))
            assert again.status == "finished"
            assert process_of(again).pid == stuck.pid, "its place was not started again"
            assert stuck.cmdline()[-3:] == ["core.jobs.worker", "light", str(LIGHT_PLACES - 1)]
            assert stuck.nice() == psutil.Process().nice() + 5
            results.delete_dataset(store, list_datasets(home.data_folder())[0], keep_record=False)
            assert [path for path in leftovers() if path.suffix != ".partial"] == []
        finally:
            stuck.kill()
            process.join()


def large_worker(thaw_home: str) -> None:
    """A worker at the long place that any work makes too large."""
    os.environ |= {"THAW_HOME": thaw_home, "THAW_WORKER_IDLE": "60"}
    from core.jobs import worker

    worker.MEMORY["light"] = 0.0
    worker.main("light", LIGHT_PLACES - 1)


@pytest.mark.parametrize("count", [1, 2])
def test_a_process_that_work_has_made_large_takes_no_other_job(
    store: Store, thaw_home: Path, tmp_path: Path, count: int
) -> None:
    jobs = [ask(store, "inspect", tmp_path / str(number), GOOD) for number in range(count)]
    process = FORKED.Process(target=large_worker, args=(str(thaw_home),))
    process.start()
    assert process.pid is not None
    large = psutil.Process(process.pid)
    deadline = time.monotonic() + 60
    try:
        while any(known(store, job).live for job in jobs):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert [known(store, job).status for job in jobs] == ["finished"] * count
        if count == 1:  # It does not wait for more.
            process.join(60)
            assert process.exitcode == 0
        else:  # What waited was done by a new program at the same place.
            assert process_of(known(store, jobs[-1])).pid == process.pid
            assert large.cmdline()[-3:] == ["core.jobs.worker", "light", str(LIGHT_PLACES - 1)]
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("kind", ["archive", "upload", "inspect", "preview"])
def test_after_a_kill_the_work_is_done_whole_and_once(store: Store, tmp_path: Path, kind: str) -> None:
    count = 200 if kind == "inspect" else 20
    job = begun(store, kind, tmp_path, count)
    process_of(job).kill()
    again = ended(store, job)
    assert (again.status, again.losses, again.message) == ("finished", 1, None)
    result = results.read(again)
    assert result is not None
    if kind in ("archive", "upload"):
        (data,) = list_datasets(home.data_folder())
        assert result == {"data": str(data.folder)}
        assert len(scan(data.folder).pictures) == count
    elif kind == "inspect":
        assert len(result["infos"]) == count
    else:
        assert {path.name for path in results.folder_of(job.about, job.id).iterdir()} == {
            Path(image).name for image in result["images"]
        }
    assert len(store.jobs.ended(again.about)) == 1
    assert not list(home.data_folder().rglob(".staging-*"))


@pytest.mark.parametrize("kind", ["upload", "inspect", "preview"])
def test_killed_each_time_it_fails_with_a_sentence_and_leaves_nothing(store: Store, tmp_path: Path, kind: str) -> None:
    job = begun(store, kind, tmp_path)
    for losses in range(TRIES + 1):
        assert known(store, job).losses == losses
        process_of(known(store, job)).kill()
        gone = known(store, job).worker
        until(store, lambda gone=gone: known(store, job).worker != gone or not known(store, job).live)
        if losses < TRIES:
            until(store, lambda: known(store, job).progress)
    assert (known(store, job).status, known(store, job).message) == ("failed", LOST_JOB)
    afterwards = imported_afterwards(store, kind, tmp_path)
    until(store, lambda: not list(home.data_folder().rglob(".staging-*")))
    assert [data.folder for data in list_datasets(home.data_folder())] == [afterwards]
    until(store, lambda: not list(home.uploads_folder().glob("*")))
    assert not results.folder_of(job.about, job.id).exists()
