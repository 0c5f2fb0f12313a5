"""Data sets on the shelf: they come whole or not at all, and people's changes touch no file."""

import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from core.data import datasets
from core.data.scan import read_image_folder, scan
from core.errors import BadData
from core.intake import importer
from core.intake.archive import Incoming, Member
from core.intake.importer import STAGING, clear_staging, create_dataset, extend_dataset
from core.messages import Message
from tests.conftest import MakeFolder, result_of
from tests.core.intake.bad_archives import GOOD, picture, zipped

ROOT = Path(__file__).parents[3]
OLD_PLACES = [("a", "train"), ("a", "train"), ("b", "train"), ("a", "train"), ("b", "val"), ("b", "val")]
TOKEN = "0123456789abcdef"
KILLED = """
import os, sys
from pathlib import Path
from core.data import datasets
from core.intake.archive import Member
from core.intake.importer import create_dataset, extend_dataset
from tests.core.intake.bad_archives import picture

def incoming():
    for number in range(100):
        if number == 60:
            os.kill(os.getpid(), 9)
        yield Member(f"{'ab'[number % 2]}/{number}.png", lambda: picture(seed=number), 1.0)

library, token, into = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
if into:
    job = extend_dataset(datasets.read_dataset(Path(into[0])), incoming(), token)
else:
    job = create_dataset(library, "mine", "", incoming(), token)
for _ in job:
    pass
"""
"""Imports in a process that is killed on the way, when some pictures are written."""


def killed_import(library: Path, *into: Path) -> None:
    command = [sys.executable, "-c", KILLED, library, TOKEN, *into]
    ended = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
    assert ended.returncode not in (0, 1), ended.stderr


def nothing_may_come() -> Iterator[Incoming]:
    pytest.fail("this import was done already")
    yield


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "shelf"


@pytest.fixture
def data(shelf: Path, tmp_path: Path) -> datasets.DataSet:
    """GOOD's pictures."""
    path = zipped(tmp_path / "data.zip", GOOD)
    return result_of(
        create_dataset(shelf, "Fine <b>things</b>", "my desk", importer.archive_members(path), secrets.token_hex(8))
    )


def incoming(*names: str) -> Iterator[Incoming]:
    for number, name in enumerate(names):
        yield Member(name, lambda number=number: picture(seed=100 + number), 1.0)  # type: ignore[misc]


def files(data: datasets.DataSet, label: str) -> list[str]:
    return [found.file for found in scan(data.folder).pictures if found.label == label]


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_a_data_set_is_looked_at_like_a_folder(data: datasets.DataSet, shelf: Path) -> None:
    folder = read_image_folder(data.folder)
    assert (folder.classes, folder.counts()) == (("a", "bb"), (2, 2))
    assert [one.name for one in datasets.list_datasets(shelf)] == ["Fine <b>things</b>"]
    assert datasets.read_dataset(data.folder) == data


def test_names_on_the_disk_are_our_own(data: datasets.DataSet) -> None:
    assert data.folder.name.startswith("fine-b-things-b-")
    kept = [taken.file for taken in datasets.read_index(data.folder)]
    assert kept == [f"0000/00000{n}.png" for n in range(4)]


def test_a_second_one_of_the_same_name_is_numbered(data: datasets.DataSet, shelf: Path) -> None:
    again = result_of(create_dataset(shelf, data.name, "", incoming("a/1.png", "b/1.png"), secrets.token_hex(8)))
    assert again.name == "Fine <b>things</b> 2"


def test_many_may_come_in_at_once_under_one_name(shelf: Path) -> None:
    def bring_in(_number: int) -> str:
        return result_of(create_dataset(shelf, "mine", "", incoming("a/1.png", "b/1.png"), secrets.token_hex(8))).name

    with ThreadPoolExecutor(8) as threads:
        names = sorted(threads.map(bring_in, range(8)))
    assert names == ["mine", *(f"mine {number}" for number in range(2, 9))]
    assert {read_image_folder(one.folder).counts() for one in datasets.list_datasets(shelf)} == {(1, 1)}


def test_an_import_that_is_left_leaves_nothing_behind(shelf: Path, tmp_path: Path) -> None:
    path = zipped(tmp_path / "data.zip", {f"a/{n}.png": picture(seed=n) for n in range(40)})
    job: Generator[object, None, datasets.DataSet] = create_dataset(
        shelf, "mine", "", importer.archive_members(path), TOKEN
    )
    for _ in range(5):
        next(job)
    assert list(shelf.rglob("*.png"))
    job.close()
    assert list(shelf.iterdir()) == []


def test_a_full_disk_in_mid_import_leaves_nothing_behind(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "data.zip", GOOD)
    write, written = Path.write_bytes, []

    def write_some(self: Path, content: bytes) -> int:
        written.append(self)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", write_some)
    with pytest.raises(OSError, match="No space left"):
        result_of(create_dataset(shelf, "mine", "", importer.archive_members(path), secrets.token_hex(8)))
    assert list(shelf.iterdir()) == []


def test_pictures_are_added_to_classes_old_and_new(data: datasets.DataSet) -> None:
    extended = result_of(extend_dataset(data, incoming("a/9.png", "cc/1.png", "cc/notes.txt"), secrets.token_hex(8)))
    folder = read_image_folder(data.folder)
    assert (folder.classes, folder.counts()) == (("a", "bb", "cc"), (3, 2, 1))
    assert [one.name for one in extended.skipped] == ["cc/notes.txt"]
    with pytest.raises(BadData, match=r"No picture in it can be used.*notes\.txt"):
        result_of(extend_dataset(data, incoming("cc/notes.txt"), secrets.token_hex(8)))
    assert read_image_folder(data.folder).counts() == (3, 2, 1)


@pytest.mark.parametrize("keep_record", [True, False])
def test_a_data_set_that_is_deleted_amid_an_addition(data: datasets.DataSet, keep_record: bool) -> None:
    """`keep_record` is how it is deleted while runs name it."""

    deleted = threading.Event()

    def arriving() -> Iterator[Incoming]:
        yield datasets.Skipped("notes.txt", Message("it is no picture"))
        assert deleted.wait(60)
        yield from incoming("a/8.png", "a/9.png")

    job = extend_dataset(data, arriving(), TOKEN)
    next(job)
    datasets.delete_dataset(data, keep_record)
    deleted.set()
    sentence = r"The data set .* was deleted while pictures were added to it"
    with pytest.raises(BadData, match=sentence):
        result_of(job)
    with pytest.raises(BadData, match=sentence):
        result_of(extend_dataset(data, incoming("a/8.png"), TOKEN))
    assert not list(data.folder.parent.rglob("*.png"))
    assert data.folder.exists() == keep_record


def test_changes_touch_no_picture(data: datasets.DataSet) -> None:
    before = everything_in(data.folder / datasets.PICTURES)
    first, second = files(data, "a")
    datasets.leave_out(data.folder, [first])
    datasets.relabel(data.folder, [second], "new")
    found = scan(data.folder)
    assert [picture.file for picture in found.removed] == [first]
    assert [(p.label, p.name) for p in found.pictures] == [("bb", "bb/1.png"), ("bb", "bb/2.png"), ("new", "a/2.png")]
    datasets.bring_back(data.folder, [first])
    assert files(data, "a") == [first]
    assert everything_in(data.folder / datasets.PICTURES) == before


def test_a_folder_is_used_where_it_is_and_never_changed(shelf: Path, make_folder: MakeFolder) -> None:
    root = make_folder(a=3, b=3)
    before = everything_in(root)
    data = datasets.link_folder(shelf, "in place", root)
    datasets.leave_out(data.folder, ["a/0.png"])
    assert read_image_folder(data.folder).counts() == (2, 3)
    (root / "b" / "9.png").write_bytes(picture())
    assert read_image_folder(data.folder).counts() == (2, 4)
    datasets.delete_dataset(data, keep_record=False)
    assert datasets.list_datasets(shelf) == []
    assert everything_in(root).items() >= before.items()


def test_a_split_of_its_own_can_be_drawn_anew(shelf: Path) -> None:
    names = [f"{part}/{label}/{n}.png" for part in ("train", "val") for label in ("a", "b") for n in range(2)]
    data = result_of(create_dataset(shelf, "mine", "", incoming(*names), secrets.token_hex(8)))
    assert read_image_folder(data.folder).val is not None
    datasets.set_draw_split(data.folder, True)
    folder = read_image_folder(data.folder)
    assert folder.val is None
    assert folder.counts() == (4, 4)


def test_a_test_of_its_own_stays_one_when_validation_is_drawn_anew(shelf: Path) -> None:
    names = [f"{part}/{label}/{n}.png" for part in ("train", "val", "test") for label in "ab" for n in range(2)]
    data = result_of(create_dataset(shelf, "mine", "", incoming(*names), secrets.token_hex(8)))
    datasets.set_draw_split(data.folder, True)
    folder = read_image_folder(data.folder)
    assert (folder.val, len(folder.train), len(folder.test or ())) == (None, 8, 4)


def test_what_runs_refer_to_is_kept_as_a_record(data: datasets.DataSet, shelf: Path) -> None:
    datasets.delete_dataset(data, keep_record=True)
    assert datasets.list_datasets(shelf) == []
    assert datasets.read_dataset(data.folder).name == data.name
    assert not (data.folder / datasets.PICTURES).exists()
    with pytest.raises(BadData, match="The pictures of Fine <b>things</b> were deleted"):
        read_image_folder(data.folder)


def test_a_name_and_a_note_can_be_changed(data: datasets.DataSet) -> None:
    datasets.rename_dataset(data, "other", "elsewhere")
    assert (datasets.read_dataset(data.folder).name, datasets.read_dataset(data.folder).source) == (
        "other",
        "elsewhere",
    )


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"name": 1}'])
@pytest.mark.parametrize("file", [datasets.RECORD, datasets.INDEX])
def test_a_damaged_record_is_said(data: datasets.DataSet, file: str, damage: str) -> None:
    (data.folder / file).write_text(damage, encoding="utf-8")
    with pytest.raises(BadData, match="import the pictures again"):
        read_image_folder(data.folder)


def test_what_a_killed_import_left_is_swept_out(shelf: Path, data: datasets.DataSet) -> None:
    (shelf / f"{STAGING}x").mkdir()
    (data.folder / f"{STAGING}x").mkdir()
    clear_staging(shelf, lambda _token, age: age > 60)
    assert (shelf / f"{STAGING}x").exists()
    clear_staging(shelf, lambda _token, age: age > -1)
    assert not (shelf / f"{STAGING}x").exists()
    assert not (data.folder / f"{STAGING}x").exists()
    assert json.loads((data.folder / datasets.RECORD).read_bytes())["name"] == data.name


def test_a_killed_import_is_done_anew_and_whole(shelf: Path) -> None:
    killed_import(shelf)
    assert list((shelf / f"{STAGING}{TOKEN}").rglob("*.png"))
    other = shelf / f"{STAGING}another"
    other.mkdir()
    made = result_of(create_dataset(shelf, "mine", "", incoming("a/1.png", "b/1.png"), TOKEN))
    assert [one.folder for one in datasets.list_datasets(shelf)] == [made.folder]
    assert read_image_folder(made.folder).counts() == (1, 1)
    assert sorted(shelf.glob(f"{STAGING}*")) == [other]


def test_an_import_that_was_done_is_not_done_again(shelf: Path) -> None:
    made = result_of(create_dataset(shelf, "mine", "", incoming("a/1.png", "b/1.png"), TOKEN))
    assert result_of(create_dataset(shelf, "mine", "", nothing_may_come(), TOKEN)) == made
    datasets.rename_dataset(made, "other", "")
    assert result_of(create_dataset(shelf, "mine", "", nothing_may_come(), TOKEN)).name == "other"
    assert len(datasets.list_datasets(shelf)) == 1


def test_a_killed_extension_is_done_anew_and_whole(data: datasets.DataSet, shelf: Path) -> None:
    killed_import(shelf, data.folder)
    assert list((data.folder / f"{STAGING}{TOKEN}").rglob("*.png"))
    assert read_image_folder(data.folder).counts() == (2, 2)
    # Killed a little later: the pictures are in their place, and the index does not have them yet.
    half = data.folder / datasets.PICTURES / TOKEN / "0000" / "000007.png"
    half.parent.mkdir(parents=True)
    half.write_bytes(picture())
    result_of(extend_dataset(data, incoming("a/9.png", "cc/1.png"), TOKEN))
    folder = read_image_folder(data.folder)
    assert (folder.classes, folder.counts()) == (("a", "bb", "cc"), (3, 2, 1))
    assert not half.exists()
    assert not list(data.folder.glob(f"{STAGING}*"))
    again = result_of(extend_dataset(data, nothing_may_come(), TOKEN))
    assert again == datasets.read_dataset(data.folder)
    assert read_image_folder(data.folder).counts() == (3, 2, 1)


def test_what_a_killed_import_left_is_cleared_by_its_token(shelf: Path, data: datasets.DataSet) -> None:
    killed_import(shelf)
    killed_import(shelf, data.folder)
    other = data.folder / f"{STAGING}another"
    other.mkdir()
    before = everything_in(data.folder / datasets.PICTURES)
    clear_staging(shelf, lambda token, _age: token == TOKEN)
    assert list(shelf.rglob(f"{STAGING}*")) == [other]
    assert everything_in(data.folder / datasets.PICTURES) == before


def test_results_about_a_data_set_go_with_its_pictures(data: datasets.DataSet) -> None:
    kept = datasets.results_folder(data.folder) / "1.json"
    kept.parent.mkdir()
    kept.touch()
    datasets.delete_dataset(data, keep_record=True)
    assert datasets.is_dataset(data.folder)
    assert not kept.parent.exists()


def test_a_class_of_its_own_for_every_spelling_that_is_seen(shelf: Path) -> None:
    data = result_of(create_dataset(shelf, "mine", "", incoming("Cats/1.png", "cats/2.png"), secrets.token_hex(8)))
    assert set(read_image_folder(data.folder).classes) == {"Cats", "cats"}
    assert len(data.notices) == 2


def test_a_data_set_of_an_earlier_version_is_still_open(shelf: Path) -> None:
    """Its sentences are plain text; the rest of its files has not changed."""
    folder = shelf / "mine-3f2a1c"
    pictures = folder / datasets.PICTURES / "0000"
    pictures.mkdir(parents=True)
    rows = [[f"0000/{n:06}.png", f"{label}/{n}.png", label, split] for n, (label, split) in enumerate(OLD_PLACES)]
    for row in rows:
        (folder / datasets.PICTURES / row[0]).write_bytes(picture())
    skipped = [{"name": "notes.txt", "reason": "its name has {braces}"}]
    record = {"name": "mine", "source": "", "created": 1.0, "root": None, "skipped": skipped, "more_skipped": 2}
    (folder / "record.json").write_text(json.dumps(record | {"notices": ["{said} once."], "deleted": None}))
    (folder / "index.json").write_text(json.dumps({"pictures": rows}))
    edits = {"removed": ["0000/000000.png"], "labels": {"0000/000001.png": "b"}, "draw_split": False}
    (folder / "edits.json").write_text(json.dumps(edits))
    (data,) = datasets.list_datasets(shelf)
    assert (str(data.skipped[0].reason), data.more_skipped) == ("its name has {braces}", 2)
    seen = read_image_folder(data.folder)
    assert [str(notice) for notice in seen.notices][-1] == "{said} once."
    assert (seen.counts(), len(seen.val or ())) == ((1, 4), 2)
    datasets.rename_dataset(data, "other", "")
    assert datasets.read_dataset(folder) == replace(data, name="other")


def test_sentences_are_kept_with_their_values(shelf: Path) -> None:
    data = result_of(create_dataset(shelf, "mine", "", incoming("a/1.png", "b/1.png", "B/2.png", "c.png"), TOKEN))
    assert datasets.read_dataset(data.folder) == data
    record = json.loads((data.folder / datasets.RECORD).read_bytes())
    assert {notice["values"]["label"] for notice in record["notices"]} == {"b", "B"}
    assert record["skipped"][0]["reason"]["one"] == "it is in no class; {advice}"


def test_long_names_of_skipped_files_are_shortened(shelf: Path) -> None:
    long = f"a/begin{'x' * 60_000}end.txt"
    data = result_of(create_dataset(shelf, "mine", "", incoming("a/1.png", "b/1.png", *[long] * 1200), TOKEN))
    (name,) = {one.name for one in data.skipped}
    assert name.startswith("a/begin")
    assert name.endswith("end.txt")
    assert "…" in name
    assert len(name) <= 240
    assert (data.folder / datasets.RECORD).stat().st_size < 500_000
