"""Data sets that Thaw keeps: a folder each, with a record, an index, and what people changed.

    LIBRARY/flowers-3f2a1c/record.json    name, source, what was skipped (`DataSet`)
                           index.json     every picture: its file, what it was called, its class, its split
                           edits.json     pictures left out or in another class (`Edits`)
                           pictures/…     the pictures, under names of our own
                           results/…      what was found out about them

A data set whose pictures are used where they are has a `root` instead of index and pictures.
"""

import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock

from core import files
from core.errors import BadData
from core.messages import Message

RECORD, INDEX, EDITS, PICTURES, RESULTS = "record.json", "index.json", "edits.json", "pictures", "results"
LOCK = "lock"
TOKEN_LENGTH = 12
"""Characters of an import's token in the name of its data set's folder."""


@dataclass(frozen=True)
class Skipped:
    """Something that was left out when pictures came in, and why."""

    name: str
    reason: Message


@dataclass(frozen=True)
class IndexEntry:
    """A picture that is kept in `file`, by its path below the pictures' folder, and what it was called."""

    file: str
    name: str
    label: str
    split: str


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set beside its pictures. `created` and `deleted` are seconds since 1970.

    `root` is the folder whose pictures are used in place; `more_skipped` counts those that `skipped` has no room for.
    """

    folder: Path
    name: str
    source: str
    created: float
    root: Path | None = None
    skipped: tuple[Skipped, ...] = ()
    more_skipped: int = 0
    notices: tuple[Message, ...] = ()
    deleted: float | None = None


@dataclass(frozen=True)
class Edits:
    """By file: `removed` are left out, `labels` are in another class. `draw_split`: a val/ of its own is ignored."""

    removed: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    draw_split: bool = False


def list_datasets(library: Path) -> list[DataSet]:
    """Every data set that has its pictures, the newest first, but for those whose record is damaged."""
    if not library.is_dir():
        return []
    readable = [data for folder in library.iterdir() if is_dataset(folder) and (data := _readable(folder))]
    return sorted((data for data in readable if data.deleted is None), key=lambda data: -data.created)


def is_dataset(folder: Path) -> bool:
    """Whether a folder is a data set of Thaw's."""
    return (folder / RECORD).is_file()


def read_dataset(folder: Path) -> DataSet:
    """The record in `folder`. Raises BadData when it is damaged."""
    values = _read(folder / RECORD)
    try:
        skipped = tuple(Skipped(row["name"], Message.parse(row["reason"])) for row in values.pop("skipped"))
        root = values.pop("root")
        notices = tuple(map(Message.parse, values.pop("notices")))
        return DataSet(folder, root=Path(root) if root else None, skipped=skipped, notices=notices, **values)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(folder / RECORD) from error


def write_dataset(data: DataSet) -> None:
    """Write the record into the data set's folder. Raises OSError."""
    values = {
        "name": data.name,
        "source": data.source,
        "created": data.created,
        "root": str(data.root) if data.root else None,
        "skipped": [{"name": one.name, "reason": one.reason.to_json()} for one in data.skipped],
        "more_skipped": data.more_skipped,
        "notices": [notice.to_json() for notice in data.notices],
        "deleted": data.deleted,
    }
    files.write_json(data.folder / RECORD, values)


def read_index(folder: Path) -> tuple[IndexEntry, ...]:
    """The index of an imported data set. Raises BadData when it is damaged."""
    try:
        return tuple(IndexEntry(*row) for row in _read(folder / INDEX)["pictures"])
    except (KeyError, TypeError) as error:
        raise _damaged(folder / INDEX) from error


def write_index(folder: Path, entries: Iterable[IndexEntry]) -> None:
    """Write the index of an imported data set. Raises OSError."""
    files.write_json(folder / INDEX, {"pictures": [astuple(entry) for entry in entries]})


def link_folder(library: Path, name: str, root: Path) -> DataSet:
    """A data set of the pictures in `root`, which stay where they are and as they are."""
    library.mkdir(parents=True, exist_ok=True)
    with FileLock(library / LOCK):
        folder = library / new_id(name, secrets.token_hex(TOKEN_LENGTH // 2))
        data = DataSet(folder, free_name(library, name), str(root), time.time(), root)
        data.folder.mkdir()
        write_dataset(data)
    return data


def rename_dataset(data: DataSet, name: str, source: str) -> None:
    """Give a data set another name and note."""
    with FileLock(data.folder / LOCK):
        write_dataset(replace(read_dataset(data.folder), name=name, source=source))


def delete_dataset(data: DataSet, keep_record: bool) -> None:
    """Delete the pictures and the results about them. With `keep_record` the record stays, for runs that name it.

    Raises BadData where the system does not let its files go.
    """
    if not keep_record:
        if not files.remove_folder(data.folder):
            template = "The data set {name} is in use; close what has its files open, and delete it again."
            raise BadData(template, name=data.name)
        return
    with FileLock(data.folder / LOCK):
        write_dataset(replace(read_dataset(data.folder), deleted=time.time()))
        for folder in (data.folder / PICTURES, results_folder(data.folder)):
            shutil.rmtree(folder, ignore_errors=True)


def results_folder(data_folder: Path) -> Path:
    """Where results about a data set are kept; they are deleted with its pictures."""
    return data_folder / RESULTS


def new_id(name: str, token: str) -> str:
    """The name of a new data set's folder: the plain ASCII of its name, and the beginning of `token`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return f"{re.sub('[^a-z0-9]+', '-', plain.lower()).strip('-')[:40] or 'data'}-{token[:TOKEN_LENGTH]}"


def free_name(library: Path, name: str) -> str:
    """`name`, with a number behind it where a data set has that name already."""
    taken = {data.name for data in list_datasets(library)}
    if name not in taken:
        return name
    return next(other for number in count(2) if (other := f"{name} {number}") not in taken)


def read_edits(folder: Path) -> Edits:
    """The edits of the data set in `folder`. Raises BadData when their file is damaged."""
    file = folder / EDITS
    if not file.is_file():
        return Edits()
    values = _read(file)
    try:
        return Edits(frozenset(values["removed"]), dict(values["labels"]), bool(values["draw_split"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadData("{file} is damaged; delete it, and the pictures are as they came in.", file=file) from error


def leave_out(folder: Path, chosen: Iterable[str]) -> None:
    """Leave pictures out, given by their files."""
    with FileLock(folder / LOCK):
        edits = read_edits(folder)
        _write_edits(folder, replace(edits, removed=edits.removed | set(chosen)))


def bring_back(folder: Path, chosen: Iterable[str]) -> None:
    """Take pictures in again that were left out."""
    with FileLock(folder / LOCK):
        edits = read_edits(folder)
        _write_edits(folder, replace(edits, removed=edits.removed - set(chosen)))


def relabel(folder: Path, chosen: Iterable[str], label: str) -> None:
    """Put pictures into another class, which may be a new one."""
    with FileLock(folder / LOCK):
        edits = read_edits(folder)
        _write_edits(folder, replace(edits, labels={**edits.labels, **dict.fromkeys(chosen, label)}))


def set_draw_split(folder: Path, wanted: bool) -> None:
    """Set whether a split is drawn although the data set brings one."""
    with FileLock(folder / LOCK):
        _write_edits(folder, replace(read_edits(folder), draw_split=wanted))


def _write_edits(folder: Path, edits: Edits) -> None:
    values = {"removed": sorted(edits.removed), "labels": dict(edits.labels), "draw_split": edits.draw_split}
    files.write_json(folder / EDITS, values)


def _readable(folder: Path) -> DataSet | None:
    try:
        return read_dataset(folder)
    except BadData:
        return None


def _read(file: Path) -> dict[str, Any]:
    """What a file of a data set holds. Raises BadData when it is damaged."""
    try:
        values = files.read_json(file)
    except (OSError, ValueError) as error:
        template = "{file} cannot be read ({cause}); import the pictures again."
        raise BadData(template, file=file, cause=str(error)) from error
    if not isinstance(values, dict):
        raise _damaged(file)
    return values


def _damaged(file: Path) -> BadData:
    return BadData("{file} is damaged; import the pictures again.", file=file)
