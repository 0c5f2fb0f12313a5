"""Imports, inspections and previews as jobs, carried out in this process: what they return, and how they fail."""

import secrets
from pathlib import Path

import pytest

from core import home
from core.data import datasets
from core.data.scan import read_image_folder
from core.errors import DISK_FULL, JobFailed
from core.intake.archive import store_upload
from core.jobs import results
from core.jobs.drive import drive
from core.jobs.job import Given, Job, Kind
from core.jobs.kinds import request
from core.jobs.picture_kinds import (
    ARCHIVE,
    INSPECT,
    PREVIEW,
    UPLOAD,
    ArchiveArguments,
    InspectArguments,
    PreviewArguments,
    UploadArguments,
)
from core.jobs.process import process_id
from core.jobs.store import Store, open_store
from core.messages import Message
from tests.conftest import MakeFolder, small_recipe
from tests.core.intake.bad_archives import GOOD, picture, zipped

FULL = Path("/dev/full")
"""A file that is always on a full disk."""


@pytest.fixture
def store() -> Store:
    return open_store()


def carried_out(store: Store, kind: Kind[Given], given: Given) -> Job:
    """The job once it has ended well. Raises JobFailed."""
    job = request(store, kind, given, worker=process_id())
    list(drive(store, job))
    ended = store.jobs.get(job.id)
    assert ended is not None
    assert ended.status == "finished"
    return ended


def uploaded(content: bytes) -> ArchiveArguments:
    """An archive that came from a browser."""
    file = home.uploads_folder() / secrets.token_hex(8) / "archive"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return ArchiveArguments(name="mine", source="a friend", file=file, title="data.zip")


def upload_of(*files: tuple[str, bytes], into: Path | None = None) -> UploadArguments:
    folder = home.uploads_folder() / secrets.token_hex(8)
    store_upload(folder, files)
    return UploadArguments(name="mine", source="", upload=folder, into=into)


def test_an_uploaded_archive_becomes_a_data_set(store: Store, tmp_path: Path) -> None:
    given = uploaded(zipped(tmp_path / "data.zip", GOOD).read_bytes())
    job = carried_out(store, ARCHIVE, given)
    assert job.result is not None
    assert read_image_folder(Path(job.result["data"])).counts() == (2, 2)
    assert job.about == f"data:{job.result['data']}"
    assert list(home.uploads_folder().iterdir()) == []


def test_a_bad_one_leaves_its_sentence_and_nothing_else(store: Store) -> None:
    with pytest.raises(JobFailed, match=r"data\.zip is damaged, or no zip or tar archive"):
        carried_out(store, ARCHIVE, uploaded(b"nothing good"))
    assert list(home.data_folder().iterdir()) == []
    assert list(home.uploads_folder().iterdir()) == []


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_said(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = uploaded(zipped(tmp_path / "data.zip", GOOD).read_bytes())

    def write(_path: Path, content: bytes) -> int:
        with FULL.open("wb", buffering=0) as full:
            return full.write(content)

    with monkeypatch.context() as full_disk:
        full_disk.setattr(Path, "write_bytes", write)
        with pytest.raises(JobFailed) as caught:
            carried_out(store, ARCHIVE, given)
    assert caught.value.message == DISK_FULL
    assert list(home.data_folder().iterdir()) == []


def test_files_are_added_to_a_data_set(store: Store) -> None:
    files = [("a/x.png", picture()), ("b/y.png", picture(seed=1)), ("../z.png", picture())]
    job = carried_out(store, UPLOAD, upload_of(*files))
    assert job.result is not None
    made = datasets.read_dataset(Path(job.result["data"]))
    assert [skipped.name for skipped in made.skipped] == ["../z.png"]
    carried_out(store, UPLOAD, upload_of(("a/x2.png", picture(seed=2)), into=made.folder))
    assert read_image_folder(made.folder).counts() == (2, 1)


def test_an_inspection_returns_issues_and_what_is_known_of_each_picture(store: Store, make_folder: MakeFolder) -> None:
    data = make_folder(a=12, b=3)
    job = carried_out(store, INSPECT, InspectArguments(data=data, val_fraction=0.25, seed=0))
    seen = results.read(job)
    assert seen is not None
    assert [str(Message.parse(issue["remedy"])) for issue in seen["issues"]] == ["Leave out this class"]
    assert seen["infos"][str(data / "a" / "0.png")] == [40, 40, None]


def test_a_preview_is_the_first_batch(store: Store, make_folder: MakeFolder) -> None:
    recipe = small_recipe(make_folder(a=4, b=4), batch_size=3)
    seen = results.read(carried_out(store, PREVIEW, PreviewArguments(settings=recipe.model_dump(mode="json"))))
    assert seen is not None
    assert len(seen["images"]) == 3
    assert set(seen["labels"]) <= {"a", "b"}
    assert all(Path(image).is_file() for image in seen["images"])
