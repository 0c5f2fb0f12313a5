"""A folder of classes, as people really have them."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.data.scan import read_image_folder, scan
from core.errors import BadData

LONG_AGO = 1_600_000_000


def fill(root: Path, *names: str) -> Path:
    """Empty files: looking at a folder opens none of them."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_classes_and_files_come_in_natural_order(tmp_path: Path) -> None:
    folder = read_image_folder(fill(tmp_path, "10/a.jpg", "2/b10.jpg", "2/b9.jpg"))
    assert folder.classes == ("2", "10")
    assert [(e.path.name, e.label) for e in folder.train] == [("b9.jpg", 0), ("b10.jpg", 0), ("a.jpg", 1)]
    assert folder.val is None
    assert folder.counts() == (2, 1)


def test_what_systems_leave_behind_is_ignored(tmp_path: Path) -> None:
    rubbish = ("__MACOSX/a/x.jpg", ".git/x.jpg", "a/.DS_Store", "a/._1.jpg", "a/Thumbs.db", "b/notes.txt", "README.md")
    folder = read_image_folder(fill(tmp_path, "a/1.jpg", "b/2.PNG", *rubbish))
    assert folder.classes == ("a", "b")
    assert [e.path.name for e in folder.train] == ["1.jpg", "2.PNG"]
    assert tuple(map(str, folder.notices)) == ()


def test_train_and_val_are_used_as_they_are(tmp_path: Path) -> None:
    folder = read_image_folder(fill(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg", "val/c/4.jpg"))
    assert folder.classes == ("a", "b")
    assert folder.val is not None
    assert [(e.path.name, e.label) for e in folder.val] == [("3.jpg", 0)]
    assert tuple(map(str, folder.notices)) == (
        "val/c was left out: train/ has no pictures of that class.",
        "b has no pictures in val/, so nothing validates it.",
    )


def test_a_test_beside_training_and_validation(tmp_path: Path) -> None:
    names = ("train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg", "val/b/3.jpg", "Tests/b/4.jpg", "Tests/c/5.jpg")
    folder = read_image_folder(fill(tmp_path, *names))
    assert folder.test is not None
    assert [(e.path.name, e.label) for e in folder.test] == [("4.jpg", 1)]
    assert (folder.classes, folder.counts()) == (("a", "b"), (2, 3))
    assert tuple(map(str, folder.notices)) == (
        "test/c was left out: train/ has no pictures of that class.",
        "a has no pictures in test/, so nothing tests it.",
    )


@pytest.mark.parametrize("name", ["test", "Testing", "TESTS"])
def test_a_test_beside_training_alone_leaves_validation_to_be_drawn(tmp_path: Path, name: str) -> None:
    folder = read_image_folder(fill(tmp_path, "Training/a/1.jpg", "Training/b/2.jpg", f"{name}/a/3.jpg"))
    assert (folder.val, len(folder.train)) == (None, 2)
    assert folder.test is not None
    assert [(e.path.name, e.label) for e in folder.test] == [("3.jpg", 0)]


def test_pictures_of_a_test_without_classes_are_left_out_and_said(tmp_path: Path) -> None:
    folder = read_image_folder(fill(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "test/3.jpg", "test/4.jpg", "test/x"))
    assert (folder.classes, folder.val, folder.test) == (("a", "b"), None, None)
    assert tuple(map(str, folder.notices)) == ("2 pictures in test/ were left out: they are in no class.",)


def test_two_folders_of_one_part_are_put_together(tmp_path: Path) -> None:
    names = ("train/a/1.jpg", "train/b/2.jpg", "test/a/3.jpg", "testing/b/4.jpg")
    folder = read_image_folder(fill(tmp_path, *names))
    assert folder.test is not None
    assert [(e.path.name, e.label) for e in folder.test] == [("3.jpg", 0), ("4.jpg", 1)]


def test_an_empty_class_is_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    folder = read_image_folder(fill(tmp_path, "a/1.jpg", "b/2.jpg"))
    assert folder.classes == ("a", "b")
    assert tuple(map(str, folder.notices)) == ("The class empty was left out: it has no pictures.",)


def test_a_thousand_classes(tmp_path: Path) -> None:
    folder = read_image_folder(fill(tmp_path, *(f"class {number}/1.jpg" for number in range(1000))))
    assert folder.classes[999] == "class 999"


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ((), "has no pictures"),
        (("a/notes.txt", "b/notes.txt"), "has no pictures"),
        (("a/1.jpg",), "pictures of one class only"),
        (("1.jpg", "2.jpg"), "has pictures but no classes"),
    ],
)
def test_what_cannot_be_trained_on_is_said(tmp_path: Path, files: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(BadData, match=sentence):
        read_image_folder(fill(tmp_path, *files))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="nowhere is not a folder"):
        read_image_folder(tmp_path / "nowhere")


def settled(root: Path) -> Path:
    """The folder, as if nobody had changed it for a while: only then is it remembered."""
    for folder in (*root.rglob("*/"), root):
        if folder.is_dir():
            os.utime(folder, (LONG_AGO, LONG_AGO))
    return root


def test_every_data_set_in_use_is_walked_once(tmp_path: Path) -> None:
    roots = [settled(fill(tmp_path / str(number), "a/1.jpg", "b/2.jpg")) for number in range(8)]
    first = [scan(root) for root in roots]
    for _ in range(3):
        assert all(scan(root) is seen for root, seen in zip(roots, first, strict=True))


def test_a_folder_that_changed_is_walked_again(tmp_path: Path) -> None:
    root = settled(fill(tmp_path / "data", "a/1.jpg", "b/2.jpg"))
    first = scan(root)
    fill(root, "b/3.jpg")
    assert len(scan(root).pictures) == 3  # A folder that changed just now is not relied on.
    os.utime(root / "b", (LONG_AGO + 1, LONG_AGO + 1))
    second = scan(root)
    assert len(second.pictures) == 3
    assert second is not first
    assert scan(root) is second


def test_what_was_not_asked_for_is_forgotten_beyond_a_number_of_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.data.scan.REMEMBERED", 5)
    one, two, three = (settled(fill(tmp_path / name, "a/1.jpg", "b/2.jpg")) for name in ("one", "two", "three"))
    first, second = scan(one), scan(two)
    assert scan(one) is first
    third = scan(three)  # Six pictures: the second data set was asked for first.
    assert scan(three) is third
    assert scan(one) is first
    assert scan(two) is not second


def test_many_threads_see_the_same(tmp_path: Path) -> None:
    roots = [settled(fill(tmp_path / str(number), *(f"{label}/{number}.jpg" for label in "ab"))) for number in range(4)]
    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(scan, roots * 50))
    assert seen == seen[:4] * 50
