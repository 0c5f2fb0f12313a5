"""What light jobs return is kept with the data set or run that it is about, within bounds, and goes with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import home
from core.data import datasets
from core.data.datasets import DataSet
from core.errors import JobFailed
from core.intake.archive import Member
from core.intake.importer import create_dataset
from core.jobs import results
from core.jobs.drive import drive
from core.jobs.job import Desk, Job, Kind, Work
from core.jobs.kinds import KINDS, request
from core.jobs.picture_kinds import INSPECT, PREVIEW, InspectArguments, PreviewArguments
from core.jobs.process import process_id
from core.jobs.results import FILE, KEPT, ROW, folder_of, prune, read
from core.jobs.store import Store, store_at
from core.jobs.worker import clean_up
from tests.conftest import MakeFolder, result_of, small_recipe
from tests.core.intake.bad_archives import GOOD


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = store_at(database_url)
    yield opened
    opened.database.close()


@pytest.fixture
def data(thaw_home: Path) -> DataSet:
    """A data set of Thaw's."""
    incoming = [Member(name, lambda content=content: content, 1.0) for name, content in GOOD.items()]
    return result_of(create_dataset(thaw_home / "data", "mine", "a friend", incoming, "1" * 32))


def inspected(store: Store, data: Path, seed: int = 0) -> Job:
    """An inspection, carried out."""
    job = request(store, INSPECT, InspectArguments(data=data, val_fraction=0.25, seed=seed), process_id())
    list(drive(store, job))
    ended = store.jobs.get(job.id)
    assert ended is not None
    return ended


def ended_about(store: Store, about: str, number: int = 1, result: dict[str, Any] | None = None) -> Job:
    """A finished job whose result has a file beside it."""
    job = store.jobs.submit("preview", "light", {"n": number}, about=about, worker="me")
    folder = folder_of(about, job.id)
    folder.mkdir(parents=True)
    (folder / "0.png").write_bytes(b"a picture")
    store.jobs.end(job.id, "finished", "me", result=results.keep(about, folder, result or {"n": number}))
    ended = store.jobs.get(job.id)
    assert ended is not None
    return ended


def test_a_data_set_has_its_results_inside_and_a_folder_has_them_in_the_home(
    data: DataSet, make_folder: MakeFolder, thaw_home: Path
) -> None:
    assert folder_of(f"data:{data.folder}", "j") == data.folder / "results" / "j"
    assert folder_of("run:3", "j") == thaw_home / "runs" / "3" / "results" / "j"
    outside = make_folder(a=2)
    folder = folder_of(f"data:{outside}", "j")
    assert (folder.parents[1], folder.name) == (thaw_home / "results", "j")
    assert folder != folder_of(f"data:{outside.with_name('other')}", "j")


def test_what_people_do_to_pictures_is_not_undone_by_results(store: Store, data: DataSet) -> None:
    job = inspected(store, data.folder)
    assert job.status == "finished"
    assert inspected_again(store, data.folder).id == job.id
    assert [one.id for one in store.jobs.ended(f"data:{data.folder}")] == [job.id]


def inspected_again(store: Store, data: Path) -> Job:
    return request(store, INSPECT, InspectArguments(data=data, val_fraction=0.25, seed=0))


def test_the_newest_results_are_kept_and_the_oldest_go_with_their_files(store: Store, data: DataSet) -> None:
    about = f"data:{data.folder}"
    made = [ended_about(store, about, number) for number in range(KEPT + 3)]
    other = ended_about(store, "run:1")
    prune(store, about)
    kept = made[3:]
    assert [job.id for job in store.jobs.ended(about)] == [job.id for job in reversed(kept)]
    folders = {folder.name for folder in (data.folder / "results").iterdir()}
    assert folders == {job.id for job in kept}
    assert store.jobs.get(other.id) == other


def test_the_end_of_a_job_keeps_the_bound(store: Store, data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "KEPT", 3)
    made = [inspected(store, data.folder, seed).id for seed in range(5)]
    assert [job.id for job in store.jobs.ended(f"data:{data.folder}")] == made[:1:-1]


def test_a_large_result_is_a_file_and_reads_as_it_was(store: Store, data: DataSet) -> None:
    about = f"data:{data.folder}"
    large = {"words": ["ä" * 10] * ROW}
    job = ended_about(store, about, result=large)
    assert job.result == {"file": str(folder_of(about, job.id) / FILE)}
    assert read(job) == large
    small = ended_about(store, about, result={"words": ["x"]})
    assert (small.result, read(small)) == ({"words": ["x"]}, {"words": ["x"]})


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe"])
def test_a_result_whose_file_is_gone_or_damaged_reads_as_none(
    store: Store, data: DataSet, content: bytes | None
) -> None:
    about = f"data:{data.folder}"
    job = ended_about(store, about, result={"words": "x" * ROW})
    file = folder_of(about, job.id) / FILE
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    assert read(job) is None
    results.forget(store, job)
    assert store.jobs.get(job.id) is None


@pytest.mark.parametrize("keep_record", [False, True])
def test_results_go_with_their_data_set(store: Store, data: DataSet, keep_record: bool) -> None:
    about = f"data:{data.folder}"
    made = [inspected(store, data.folder), ended_about(store, about)]
    waiting = request(store, INSPECT, InspectArguments(data=data.folder, val_fraction=0.5, seed=9))
    other = ended_about(store, "run:1")
    results.delete_dataset(store, data, keep_record)
    assert [store.jobs.get(job.id) for job in made] == [None, None]
    ended = store.jobs.get(waiting.id)
    assert ended is None or ended.status == "stopped"
    assert store.jobs.get(other.id) == other
    assert not (data.folder / "results").exists()
    assert datasets.is_dataset(data.folder) == keep_record


@pytest.mark.parametrize("keep_record", [False, True])
def test_a_job_whose_data_set_goes_meanwhile_leaves_nothing(
    store: Store, data: DataSet, keep_record: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_given: InspectArguments, desk: Desk) -> Work:
        desk.results.mkdir(parents=True)
        datasets.delete_dataset(data, keep_record)  # At the last moment: nobody listens to a wish any more.
        desk.results.mkdir(parents=True, exist_ok=True)
        return {"found": 1}
        yield

    late = Kind(name="late", lane="light", arguments=InspectArguments, work=work, about=INSPECT.about)
    monkeypatch.setitem(KINDS, "late", late)
    job = request(store, late, InspectArguments(data=data.folder, val_fraction=0.25, seed=0), process_id())
    with pytest.raises(JobFailed, match="The pictures were deleted meanwhile; choose others"):
        list(drive(store, job))
    ended = store.jobs.get(job.id)
    assert ended is not None
    assert (ended.status, ended.result) == ("failed", None)
    assert not folder_of(job.about, job.id).exists()
    assert data.folder.exists() == keep_record


def test_results_go_with_their_run(store: Store, make_folder: MakeFolder) -> None:
    runs = [store.runs.queue(small_recipe(make_folder(a=2, b=2))) for _ in range(2)]
    about = [ended_about(store, f"run:{run}") for run in runs]
    store.runs.request_stop(runs[0])
    store.runs.delete([runs[0]])
    clean_up(store, "training")
    assert store.jobs.get(about[0].id) == about[0], "the run can still be brought back"
    assert store.runs.purge(-1, home.installation_id()) == [runs[0]]
    home.remove_run(runs[0])
    assert [store.jobs.get(job.id) is None for job in about] == [True, False]
    assert [folder_of(job.about, job.id).exists() for job in about] == [False, True]


def test_a_preview_keeps_its_pictures_with_the_data_set(store: Store, data: DataSet) -> None:
    recipe = small_recipe(data.folder, batch_size=3)
    job = request(store, PREVIEW, PreviewArguments(settings=recipe.model_dump(mode="json")), process_id())
    list(drive(store, job))
    ended = store.jobs.get(job.id)
    assert ended is not None
    result = read(ended)
    assert result is not None
    folder = data.folder / "results" / job.id
    assert {Path(image).parent for image in result["images"]} == {folder}
    assert all(Path(image).is_file() for image in result["images"])
    results.forget(store, ended)
    assert not folder.exists()
