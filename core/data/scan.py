"""Find the pictures and classes of a folder or of a data set, as they are after people's changes. None is opened."""

import functools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from natsort import natsort_keygen

from core.data import datasets
from core.data.structure import IMAGE_SUFFIXES, ONE_FOLDER_PER_CLASS, SPLITS, is_leftover, suffix, warn_case_only
from core.errors import BadData
from core.settings import settings

SETTLED = 2 * 10**9
"""Nanoseconds before a folder's time stamp is relied on: clocks of file systems tick as slowly as that."""
_natural = natsort_keygen()


@dataclass(frozen=True)
class Picture:
    """A picture at `path`. `file` names it among its like, `name` is what people called it.

    `part` is "train", "val", or empty where a split is yet to be drawn.
    """

    path: Path
    file: str
    name: str
    label: str
    part: str


@dataclass(frozen=True)
class Scan:
    """Pictures in natural order of class and name, those that people left out, and classes without any picture."""

    pictures: tuple[Picture, ...]
    removed: tuple[Picture, ...]
    empty: tuple[str, ...]
    notices: tuple[str, ...]


def scan(path: Path) -> Scan:
    """The pictures at `path`: a data set's folder, or any that holds class folders, or train/ and val/ of them.

    Remembered for as long as no folder has changed.

    Raises BadData when there is no such folder, or when a data set's pictures were deleted.
    """
    if not path.is_dir():
        raise BadData(f"{path} is not a folder; give the path of a folder that has one folder of pictures per class.")
    folders = tuple(_folder_times(path))
    settled = time.time_ns() - max(folders, default=0) > SETTLED
    return _remembered(path, folders, tuple(_file_versions(path))) if settled else _scan(path)


@functools.lru_cache(maxsize=4)
def _remembered(path: Path, _folders: tuple[int, ...], _files: tuple[tuple[int, ...], ...]) -> Scan:
    return _scan(path)


def _folder_times(path: Path) -> Iterator[int]:
    """When, in nanoseconds, the folders with pictures, to the second level, changed last; none for imported ones."""
    root = datasets.read_dataset(path).root if datasets.is_dataset(path) else path
    if root is not None and root.is_dir():
        yield root.stat().st_mtime_ns
        for folder in _folders(root):
            yield folder.stat().st_mtime_ns
            yield from (inner.stat().st_mtime_ns for inner in _folders(Path(folder.path)))


def _file_versions(path: Path) -> Iterator[tuple[int, ...]]:
    """What tells versions of a data set's own files apart: each is another file, moved into place."""
    for file in (path / name for name in (datasets.RECORD, datasets.INDEX, datasets.EDITS)):
        if file.is_file():
            status = file.stat()
            yield status.st_ino, status.st_size, status.st_mtime_ns


def _scan(path: Path) -> Scan:
    if not datasets.is_dataset(path):
        pictures, empty = _walk(path)
        return Scan(tuple(sorted(pictures, key=_order)), (), empty, tuple(warn_case_only({p.label for p in pictures})))
    data = datasets.read_dataset(path)
    if data.deleted is not None:
        raise BadData(f"The pictures of {data.name} were deleted; import them again, or choose others.")
    pictures, empty = _walk(data.root) if data.root else (list(_indexed(path)), ())
    changes = datasets.read_edits(path)
    changed = [_changed(found, changes) for found in pictures]
    kept = sorted((found for found in changed if found.file not in changes.removed), key=_order)
    removed = sorted((found for found in changed if found.file in changes.removed), key=_order)
    return Scan(tuple(kept), tuple(removed), empty, data.notices)


def _order(found: Picture) -> tuple[object, ...]:
    return _natural(found.label), _natural(found.name)


def _changed(found: Picture, changes: datasets.Edits) -> Picture:
    label = changes.labels.get(found.file, found.label)
    return replace(found, label=label, part="" if changes.draw_split else found.part)


def _indexed(folder: Path) -> Iterator[Picture]:
    for taken in datasets.read_index(folder):
        yield Picture(folder / datasets.PICTURES / taken.file, taken.file, taken.name, taken.label, taken.part)


def _walk(root: Path) -> tuple[list[Picture], tuple[str, ...]]:
    """The pictures below `root`, and the classes that have none."""
    if not root.is_dir():
        raise BadData(f"{root} is not there any more; put it back, or choose other pictures.")
    parts = {SPLITS[entry.name.lower()]: entry.name for entry in _folders(root) if entry.name.lower() in SPLITS}
    validates = parts.get("val", parts.get("test"))
    if "train" in parts and validates:
        train, empty = _classes(root / parts["train"], f"{parts['train']}/", "train")
        val, _ = _classes(root / validates, f"{validates}/", "val")
        return train + val, empty
    return _classes(root, "", "")


def _classes(root: Path, above: str, part: str) -> tuple[list[Picture], tuple[str, ...]]:
    found: list[Picture] = []
    empty: list[str] = []
    for folder in _folders(root):
        files = list(_files(folder.path, f"{above}{folder.name}"))
        found += [Picture(Path(path), name, name, folder.name, part) for path, name in files]
        if not files:
            empty.append(folder.name)
    return found, tuple(sorted(empty, key=_natural))


def _folders(path: Path) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return [entry for entry in entries if entry.is_dir(follow_symlinks=False) and not is_leftover([entry.name])]


def _files(folder: str, above: str) -> Iterator[tuple[str, str]]:
    """Path and name of each picture in a class's folder and in the folders inside it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_leftover([entry.name]):
                continue
            name = f"{above}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, name)
            elif suffix(entry.name) in IMAGE_SUFFIXES and not entry.is_symlink():
                yield entry.path, name


@dataclass(frozen=True)
class Example:
    """One image file and the index of its class."""

    path: Path
    label: int


@dataclass(frozen=True)
class ImageFolder:
    """What a folder holds. `val` is None where the folder has no val/ of its own and a split has to be drawn.

    `classes` are names in natural order ("2" before "10"); a label is an index into them.
    `notices` are sentences about what was left out and why.
    """

    path: Path
    classes: tuple[str, ...]
    train: tuple[Example, ...]
    val: tuple[Example, ...] | None
    notices: tuple[str, ...]

    def counts(self) -> tuple[int, ...]:
        """Images per class, training and validation together."""
        counts = [0] * len(self.classes)
        for example in (*self.train, *(self.val or ())):
            counts[example.label] += 1
        return tuple(counts)


def read_image_folder(path: Path) -> ImageFolder:
    """Find classes and images at `path` (`core.data.scan`).

    Raises BadData when it is missing, holds fewer than two classes with images, or more classes than are allowed.
    """
    return arrange_classes(path, scan(path))


def arrange_classes(path: Path, found: Scan) -> ImageFolder:
    """The classes that can be trained on, and their examples. Raises BadData like `look`."""
    splits = any(picture.part == "val" for picture in found.pictures)
    labels = dict.fromkeys(picture.label for picture in found.pictures if not splits or picture.part != "val")
    classes = tuple(labels)
    _demand_classes(path, classes)
    index = {label: number for number, label in enumerate(classes)}
    train = tuple(Example(p.path, index[p.label]) for p in found.pictures if p.label in index and p.part != "val")
    notices = [f"The class {label} was left out: it has no pictures." for label in found.empty if label not in index]
    if not splits:
        return ImageFolder(path, classes, train, None, (*notices, *found.notices))
    val = tuple(Example(p.path, index[p.label]) for p in found.pictures if p.label in index and p.part == "val")
    strangers = dict.fromkeys(p.label for p in found.pictures if p.label not in index)
    notices += [f"val/{label} was left out: train/ has no pictures of that class." for label in strangers]
    validated = {example.label for example in val}
    lacking = [label for label in classes if index[label] not in validated]
    notices += [f"{label} has no pictures in val/, so nothing validates it." for label in lacking]
    return ImageFolder(path, classes, train, val, (*notices, *found.notices))


def _demand_classes(path: Path, classes: tuple[str, ...]) -> None:
    if len(classes) > settings().max_classes:
        raise BadData(f"There are {len(classes):,} classes; {settings().max_classes:,} are allowed (THAW_MAX_CLASSES).")
    if len(classes) >= 2:
        return
    if classes:
        raise BadData(f"{_called(path)} has pictures of one class only ({classes[0]}); add a second class.")
    if any(suffix(file.name) in IMAGE_SUFFIXES for file in path.iterdir() if not is_leftover([file.name])):
        raise BadData(f"{_called(path)} has pictures but no classes; {ONE_FOLDER_PER_CLASS}.")
    formats = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
    raise BadData(f"{_called(path)} has no pictures; {ONE_FOLDER_PER_CLASS}. Formats: {formats}.")


def _called(path: Path) -> str:
    """The name by which people know the pictures: a data set's own, or a folder's path."""
    return datasets.read_dataset(path).name if datasets.is_dataset(path) else str(path)
