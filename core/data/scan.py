"""Find the pictures and classes of a folder or of a data set, as they are after people's changes. None is opened."""

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from natsort import natsort_keygen

from core import files
from core.data import datasets
from core.data.structure import IMAGE_SUFFIXES, ONE_FOLDER_PER_CLASS, SPLITS, is_leftover, suffix, warn_case_only
from core.errors import BadData
from core.messages import Message
from core.settings import settings

HELD_OUT = {
    "val": "{name} has no pictures in val/, so nothing validates it.",
    "test": "{name} has no pictures in test/, so nothing tests it.",
}
"""The parts that are no training, and what is said of a class that has nothing there."""
REMEMBERED = 500_000
"""Pictures of all data sets together that are remembered, at about 400 bytes each."""
_natural = natsort_keygen()


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture at `path`. `file` names it among its like, `name` is what people called it.

    `split` is "train", "val", "test", or empty where a split is yet to be drawn.
    """

    path: Path
    file: str
    name: str
    label: str
    split: str


@dataclass(frozen=True)
class Scan:
    """Pictures in natural order of class and name, those that people left out, and classes without any picture."""

    pictures: tuple[Picture, ...]
    removed: tuple[Picture, ...]
    empty: tuple[str, ...]
    notices: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One image file and the index of its class."""

    path: Path
    label: int


@dataclass(frozen=True)
class ImageFolder:
    """What can be trained on. `val` and `test` are None where the pictures bring none; they are then drawn of `train`.

    `classes` are names in natural order ("2" before "10"); a label is an index into them.
    `notices` are sentences about what was left out and why.
    """

    path: Path
    classes: tuple[str, ...]
    train: tuple[Example, ...]
    val: tuple[Example, ...] | None
    notices: tuple[Message, ...]
    test: tuple[Example, ...] | None = None

    def counts(self) -> tuple[int, ...]:
        """Images per class, in all parts together."""
        counts = [0] * len(self.classes)
        for example in (*self.train, *(self.val or ()), *(self.test or ())):
            counts[example.label] += 1
        return tuple(counts)


def scan(path: Path) -> Scan:
    """The pictures at `path`: a data set's folder, or any that holds class folders, or train/, val/ and test/ of them.

    Remembered for as long as no folder has changed. Raises BadData when there is no such folder, or when a data set's
    pictures were deleted.
    """
    if not path.is_dir():
        template = "{path} is not a folder; give the path of a folder that has one folder of pictures per class."
        raise BadData(template, path=path)
    folders = tuple(_folder_times(path))
    if time.time_ns() - max(folders, default=0) <= files.SETTLED:
        return _scan(path)
    return _remembered.scan(path, (folders, tuple(_file_versions(path))))


def pictures_digest(path: Path) -> str:
    """Changes with the pictures at `path`, with their files and with people's edits of them. Raises BadData."""
    digest = hashlib.sha256()
    for picture in scan(path).pictures:
        known = [picture.file, picture.label, picture.split, file_stamp(picture.path)]
        digest.update(json.dumps(known).encode())
    return digest.hexdigest()


def file_stamp(path: Path) -> tuple[int, ...]:
    """Changes with a file; empty for one that is gone: whoever reads it says so."""
    with suppress(OSError):
        status = path.stat()
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
    return ()


def picture_files(path: Path) -> list[Path]:
    """The pictures in a folder and in those inside it, in their natural order; of a path that is no folder, itself."""
    if not path.is_dir():
        return [path]
    return [Path(file) for file, _name in sorted(_picture_files(str(path), ""), key=lambda one: _natural(one[1]))]


def read_image_folder(path: Path) -> ImageFolder:
    """The classes and images at `path`.

    Raises BadData when it is missing, holds fewer than two classes with images, or more classes than are allowed.
    """
    return arrange_classes(path, scan(path))


def arrange_classes(path: Path, scanned: Scan) -> ImageFolder:
    """The classes that can be trained on, and their examples. Raises BadData like `read_image_folder`."""
    classes = tuple(dict.fromkeys(p.label for p in scanned.pictures if p.split not in HELD_OUT))
    _require_classes(path, classes)
    index = {label: number for number, label in enumerate(classes)}
    train = tuple(Example(p.path, index[p.label]) for p in scanned.pictures if p.split not in HELD_OUT)
    template = "The class {name} was left out: it has no pictures."
    notices = [Message(template, name=label) for label in scanned.empty if label not in index]
    held_out: dict[str, tuple[Example, ...] | None] = {}
    for part, lacks in HELD_OUT.items():
        own = [picture for picture in scanned.pictures if picture.split == part]
        known = tuple(Example(p.path, index[p.label]) for p in own if p.label in index)
        held_out[part] = known if own else None
        template = "{part}/{name} was left out: train/ has no pictures of that class."
        unknown = dict.fromkeys(picture.label for picture in own if picture.label not in index)
        notices += [Message(template, part=part, name=label) for label in unknown]
        seen = {example.label for example in known}
        notices += [Message(lacks, name=label) for label in classes if own and index[label] not in seen]
    return ImageFolder(path, classes, train, held_out["val"], (*notices, *scanned.notices), held_out["test"])


def too_many_classes(found: int) -> BadData:
    """The error about more classes than are allowed."""
    template = "There are {found:,} classes; {most:,} are allowed (THAW_MAX_CLASSES)."
    return BadData(template, found=found, most=settings().max_classes)


def _require_classes(path: Path, classes: tuple[str, ...]) -> None:
    if len(classes) > settings().max_classes:
        raise too_many_classes(len(classes))
    if len(classes) >= 2:
        return
    name = datasets.read_dataset(path).name if datasets.is_dataset(path) else str(path)
    if classes:
        template = "{name} has pictures of one class only ({only}); add a second class."
        raise BadData(template, name=name, only=classes[0])
    if any(suffix(file.name) in IMAGE_SUFFIXES for file in path.iterdir() if not is_leftover([file.name])):
        raise BadData("{name} has pictures but no classes; {advice}.", name=name, advice=ONE_FOLDER_PER_CLASS)
    formats = sorted(suffix[1:] for suffix in IMAGE_SUFFIXES)
    template = "{name} has no pictures; {advice}. Formats: {formats}."
    raise BadData(template, name=name, advice=ONE_FOLDER_PER_CLASS, formats=formats)


Version = tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]
"""What `_folder_times` and `_file_versions` say: another one after any change."""


class _Memory:
    """The newest scan of each data set, until REMEMBERED pictures are in it: the one longest not asked for goes first.

    Several threads may ask at once.
    """

    def __init__(self) -> None:
        self._scans: dict[Path, tuple[Version, Scan]] = {}
        self._lock = threading.Lock()

    def scan(self, path: Path, version: Version) -> Scan:
        """The scan of `path` in that version; made when it is not remembered."""
        with self._lock:
            known = self._scans.pop(path, None)
            if known and known[0] == version:
                self._scans[path] = known  # At the end: asked for last.
                return known[1]
        scanned = _scan(path)
        with self._lock:
            self._scans[path] = (version, scanned)
            while len(self._scans) > 1 and sum(map(_size, self._scans.values())) > REMEMBERED:
                del self._scans[next(iter(self._scans))]
        return scanned


def _size(entry: tuple[Version, Scan]) -> int:
    return len(entry[1].pictures) + len(entry[1].removed)


_remembered = _Memory()


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
        pictures, empty, notices = _walk(path)
        notices += warn_case_only({picture.label for picture in pictures})
        return Scan(tuple(sorted(pictures, key=_order)), (), empty, tuple(notices))
    data = datasets.read_dataset(path)
    if data.deleted is not None:
        template = "The pictures of {name} were deleted; import them again, or choose others."
        raise BadData(template, name=data.name)
    pictures, empty, notices = _walk(data.root) if data.root else (list(_indexed(path)), (), [])
    edits = datasets.read_edits(path)
    edited = sorted((_edited(picture, edits) for picture in pictures), key=_order)
    kept = tuple(picture for picture in edited if picture.file not in edits.removed)
    removed = tuple(picture for picture in edited if picture.file in edits.removed)
    return Scan(kept, removed, empty, (*data.notices, *notices))


def _order(picture: Picture) -> tuple[object, ...]:
    return _natural(picture.label), _natural(picture.name)


def _edited(picture: Picture, edits: datasets.Edits) -> Picture:
    label = edits.labels.get(picture.file, picture.label)
    return replace(picture, label=label, split="" if edits.draw_split and picture.split == "val" else picture.split)


def _indexed(folder: Path) -> Iterator[Picture]:
    for entry in datasets.read_index(folder):
        yield Picture(folder / datasets.PICTURES / entry.file, entry.file, entry.name, entry.label, entry.split)


def _walk(root: Path) -> tuple[list[Picture], tuple[str, ...], list[Message]]:
    """The pictures below `root`, the classes that have none, and sentences about what is in no class."""
    if not root.is_dir():
        raise BadData("{root} is not there any more; put it back, or choose other pictures.", root=root)
    parts = [(part, entry) for entry in _folders(root) if (part := SPLITS.get(entry.name.lower()))]
    if not {part for part, _entry in parts} > {"train"}:
        return *_classes(root, "", ""), []
    pictures: list[Picture] = []
    empty: tuple[str, ...] = ()
    notices: list[Message] = []
    for part, entry in parts:
        found, without = _classes(Path(entry.path), f"{entry.name}/", part)
        pictures += found
        empty += without if part == "train" else ()
        if loose := sum(not one.is_dir() and suffix(one.name) in IMAGE_SUFFIXES for one in _entries(entry.path)):
            template = "{count:,} picture in {folder}/ was left out: it is in no class."
            many = "{count:,} pictures in {folder}/ were left out: they are in no class."
            notices.append(Message(template, many, count=loose, folder=entry.name))
    return pictures, empty, notices


def _classes(root: Path, above: str, split: str) -> tuple[list[Picture], tuple[str, ...]]:
    pictures: list[Picture] = []
    empty: list[str] = []
    for folder in _folders(root):
        inside = list(_picture_files(folder.path, f"{above}{folder.name}"))
        pictures += [Picture(Path(path), name, name, folder.name, split) for path, name in inside]
        if not inside:
            empty.append(folder.name)
    return pictures, tuple(sorted(empty, key=_natural))


def _folders(path: Path) -> list[os.DirEntry[str]]:
    return [entry for entry in _entries(path) if entry.is_dir(follow_symlinks=False)]


def _entries(path: Path | str) -> list[os.DirEntry[str]]:
    """What is in a folder, but for what systems leave behind."""
    with os.scandir(path) as entries:
        return [entry for entry in entries if not is_leftover([entry.name])]


def _picture_files(folder: str, above: str) -> Iterator[tuple[str, str]]:
    """Path and name of each picture in a class's folder and in the folders inside it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_leftover([entry.name]):
                continue
            name = f"{above}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _picture_files(entry.path, name)
            elif suffix(entry.name) in IMAGE_SUFFIXES and not entry.is_symlink():
                yield entry.path, name
