"""Find the pictures of a folder or of a data set, as they are after people's changes. None of them is opened."""

import functools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from natsort import natsort_keygen

from core.data import edits, stored
from core.data.layout import PARTS, alike
from core.data.names import IMAGE_SUFFIXES, is_rubbish, suffix
from core.errors import BadData

SETTLED = 2 * 10**9
"""Nanoseconds before a folder's time stamp is relied on: clocks of file systems tick as slowly as that."""
_natural = natsort_keygen()


@dataclass(frozen=True)
class Found:
    """A picture at `path`. `file` names it among its like, `name` is what people called it.

    `part` is "train", "val", or empty where a split is yet to be drawn.
    """

    path: Path
    file: str
    name: str
    label: str
    part: str


@dataclass(frozen=True)
class Findings:
    """Pictures in natural order of class and name, those that people left out, and classes without any picture."""

    pictures: tuple[Found, ...]
    removed: tuple[Found, ...]
    empty: tuple[str, ...]
    notices: tuple[str, ...]


def find(path: Path) -> Findings:
    """The pictures at `path`: a data set's folder, or any that holds class folders, or train/ and val/ of them.

    Remembered for as long as no folder has changed.

    Raises BadData when there is no such folder, or when a data set's pictures were deleted.
    """
    if not path.is_dir():
        raise BadData(f"{path} is not a folder; give the path of a folder that has one folder of pictures per class.")
    folders = tuple(_folder_times(path))
    settled = time.time_ns() - max(folders, default=0) > SETTLED
    return _remembered(path, folders, tuple(_file_versions(path))) if settled else _find(path)


@functools.lru_cache(maxsize=4)
def _remembered(path: Path, _folders: tuple[int, ...], _files: tuple[tuple[int, ...], ...]) -> Findings:
    return _find(path)


def _folder_times(path: Path) -> Iterator[int]:
    """When, in nanoseconds, the folders with pictures, to the second level, changed last; none for imported ones."""
    root = stored.read(path).root if stored.is_one(path) else path
    if root is not None and root.is_dir():
        yield root.stat().st_mtime_ns
        for folder in _folders(root):
            yield folder.stat().st_mtime_ns
            yield from (inner.stat().st_mtime_ns for inner in _folders(Path(folder.path)))


def _file_versions(path: Path) -> Iterator[tuple[int, ...]]:
    """What tells versions of a data set's own files apart: each is another file, moved into place."""
    for file in (path / name for name in (stored.RECORD, stored.INDEX, edits.EDITS)):
        if file.is_file():
            status = file.stat()
            yield status.st_ino, status.st_size, status.st_mtime_ns


def _find(path: Path) -> Findings:
    if not stored.is_one(path):
        pictures, empty = _scan(path)
        return Findings(tuple(sorted(pictures, key=_order)), (), empty, tuple(alike({p.label for p in pictures})))
    data = stored.read(path)
    if data.deleted is not None:
        raise BadData(f"The pictures of {data.name} were deleted; import them again, or choose others.")
    pictures, empty = _scan(data.root) if data.root else (list(_indexed(path)), ())
    changes = edits.read(path)
    changed = [_changed(found, changes) for found in pictures]
    kept = sorted((found for found in changed if found.file not in changes.removed), key=_order)
    removed = sorted((found for found in changed if found.file in changes.removed), key=_order)
    return Findings(tuple(kept), tuple(removed), empty, data.notices)


def _order(found: Found) -> tuple[object, ...]:
    return _natural(found.label), _natural(found.name)


def _changed(found: Found, changes: edits.Edits) -> Found:
    label = changes.labels.get(found.file, found.label)
    return replace(found, label=label, part="" if changes.draw_split else found.part)


def _indexed(folder: Path) -> Iterator[Found]:
    for taken in stored.pictures(folder):
        yield Found(folder / stored.PICTURES / taken.file, taken.file, taken.name, taken.label, taken.part)


def _scan(root: Path) -> tuple[list[Found], tuple[str, ...]]:
    """The pictures below `root`, and the classes that have none."""
    if not root.is_dir():
        raise BadData(f"{root} is not there any more; put it back, or choose other pictures.")
    parts = {PARTS[entry.name.lower()]: entry.name for entry in _folders(root) if entry.name.lower() in PARTS}
    validates = parts.get("val", parts.get("test"))
    if "train" in parts and validates:
        train, empty = _classes(root / parts["train"], f"{parts['train']}/", "train")
        val, _ = _classes(root / validates, f"{validates}/", "val")
        return train + val, empty
    return _classes(root, "", "")


def _classes(root: Path, above: str, part: str) -> tuple[list[Found], tuple[str, ...]]:
    found: list[Found] = []
    empty: list[str] = []
    for folder in _folders(root):
        files = list(_files(folder.path, f"{above}{folder.name}"))
        found += [Found(Path(path), name, name, folder.name, part) for path, name in files]
        if not files:
            empty.append(folder.name)
    return found, tuple(sorted(empty, key=_natural))


def _folders(path: Path) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return [entry for entry in entries if entry.is_dir(follow_symlinks=False) and not is_rubbish([entry.name])]


def _files(folder: str, above: str) -> Iterator[tuple[str, str]]:
    """Path and name of each picture in a class's folder and in the folders inside it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_rubbish([entry.name]):
                continue
            name = f"{above}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, name)
            elif suffix(entry.name) in IMAGE_SUFFIXES and not entry.is_symlink():
                yield entry.path, name
