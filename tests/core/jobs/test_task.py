"""Work about pictures in its own process: followed, cancelled, and ended badly with a sentence."""

import os
import signal
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from core import home
from core.data import datasets
from core.data.scan import read_image_folder
from core.intake import archive
from core.jobs import task
from core.jobs.kinds import UPLOADS
from tests.conftest import MakeFolder, small_recipe
from tests.core.intake.bad_archives import GOOD, picture, zipped

FULL = Path("/dev/full")
"""A file that is always on a full disk."""


def ended(name: str, seconds: float = 60) -> task.State:
    """Polls, as the page does."""
    deadline = time.monotonic() + seconds
    while (state := task.state(name)).phase == "working":
        assert time.monotonic() < deadline
        psutil.wait_procs(psutil.Process().children(), timeout=0.05)
    return state


def uploaded(content: bytes) -> Path:
    folder = task.new()
    (folder / UPLOADS).mkdir()
    (folder / UPLOADS / "archive").write_bytes(content)
    return folder


def test_an_uploaded_archive_becomes_a_data_set(tmp_path: Path) -> None:
    folder = uploaded(zipped(tmp_path / "data.zip", GOOD).read_bytes())
    state = ended(task.start(folder, "archive", name="mine", source="a friend"))
    assert state.phase == "done"
    assert state.result is not None
    assert read_image_folder(Path(state.result["data"])).counts() == (2, 2)
    assert not (folder / UPLOADS).exists()


def test_a_bad_one_leaves_its_sentence_and_nothing_else() -> None:
    folder = uploaded(b"nothing good")
    state = ended(task.start(folder, "archive", name="mine", source=""))
    assert (state.phase, "no zip or tar archive" in (state.message or "")) == ("failed", True)
    assert list(home.data_folder().iterdir()) == []
    assert not (folder / UPLOADS).exists()
    task.forget(folder.name)
    assert not task.is_known(folder.name)


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "data.zip", GOOD)
    folder = task.new()

    def write(_path: Path, content: bytes) -> int:
        with FULL.open("wb", buffering=0) as full:
            return full.write(content)

    monkeypatch.setattr(Path, "write_bytes", write)
    arguments = {"name": "mine", "source": "", "file": str(path)}
    datasets.write_json(folder / task.TASK, {"kind": "archive", "arguments": arguments})
    task.main(folder)
    assert task.state(folder.name).message == "The disk is full. Free some space and try again."
    assert list(home.data_folder().iterdir()) == []


def test_files_are_added_to_a_data_set() -> None:
    folder = task.new()
    archive.store_upload(
        folder / UPLOADS, [("a/x.png", picture()), ("b/y.png", picture(seed=1)), ("../z.png", picture())]
    )
    state = ended(task.start(folder, "files", name="mine", source="", into=None))
    assert state.result is not None
    made = datasets.read_dataset(Path(state.result["data"]))
    assert [one.name for one in made.skipped] == ["../z.png"]
    more = task.new()
    archive.store_upload(more / UPLOADS, [("a/x2.png", picture(seed=2))])
    state = ended(task.start(more, "files", name="", source="", into=str(made.folder)))
    assert read_image_folder(made.folder).counts() == (2, 1)


def long_import(tmp_path: Path) -> str:
    """An import that takes some seconds, at work."""
    file = BytesIO()
    Image.new("RGB", (3000, 3000)).save(file, "JPEG")  # Small, and slow to decode.
    path = zipped(tmp_path / "data.zip", {f"{label}/{n}.jpg": file.getvalue() for label in "ab" for n in range(200)})
    name = task.start(task.new(), "archive", name="mine", source="", file=str(path))
    deadline = time.monotonic() + 60
    while not (state := task.state(name)).done:
        assert state.phase == "working"
        assert time.monotonic() < deadline
        psutil.wait_procs(psutil.Process().children(), timeout=0.02)
    return name


def test_an_import_can_be_cancelled(tmp_path: Path) -> None:
    name = long_import(tmp_path)
    assert task.going_on("archive") == [name]
    task.cancel(name)
    assert ended(name).phase == "cancelled"
    assert list(home.data_folder().iterdir()) == []
    assert task.going_on("archive") == []


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_a_killed_one_is_noticed(tmp_path: Path) -> None:
    name = long_import(tmp_path)
    (child,) = [p for p in psutil.Process().children() if str(name) in " ".join(p.cmdline())]
    os.kill(child.pid, signal.SIGKILL)
    assert ended(name, seconds=10) == task.State("failed", message=task.GONE)


def test_an_inspection_returns_remarks_and_facts(make_folder: MakeFolder) -> None:
    data = make_folder(a=12, b=3)
    arguments: dict[str, Any] = {"data": str(data), "val_fraction": 0.25, "seed": 0}
    state = ended(task.start(task.new("i1"), "inspect", **arguments))
    assert state.result is not None
    assert [remark["remedy"] for remark in state.result["remarks"]] == ["Leave out this class"]
    assert state.result["facts"][str(data / "a" / "0.png")] == [40, 40, None]


def test_a_preview_is_the_first_batch(make_folder: MakeFolder) -> None:
    recipe = small_recipe(make_folder(a=4, b=4), batch_size=3)
    state = ended(task.start(task.new("p1"), "preview", settings=recipe.model_dump(mode="json")))
    assert state.result is not None, state.message
    assert len(state.result["images"]) == 3
    assert set(state.result["labels"]) <= {"a", "b"}
    assert all(Path(image).is_file() for image in state.result["images"])
