"""A folder of classes, as people really have them."""

from pathlib import Path

import pytest

from core.data.scan import read_image_folder
from core.errors import BadData


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
    assert folder.notices == ()


def test_train_and_val_are_used_as_they_are(tmp_path: Path) -> None:
    folder = read_image_folder(fill(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg", "val/c/4.jpg"))
    assert folder.classes == ("a", "b")
    assert folder.val is not None
    assert [(e.path.name, e.label) for e in folder.val] == [("3.jpg", 0)]
    assert folder.notices == (
        "val/c was left out: train/ has no pictures of that class.",
        "b has no pictures in val/, so nothing validates it.",
    )


def test_an_empty_class_is_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    folder = read_image_folder(fill(tmp_path, "a/1.jpg", "b/2.jpg"))
    assert folder.classes == ("a", "b")
    assert folder.notices == ("The class empty was left out: it has no pictures.",)


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
