"""Data sets that Thaw keeps: a folder each, with a record, an index, and what people changed.

    LIBRARY/flowers-3f2a1c/record.json    name, source, what was skipped (`DataSet`)
                           index.json     every picture: its file, what it was called, its class, its split
                           edits.json     pictures left out or in another class (`Edits`)
                           pictures/…     the pictures, under names of our own
                           results/…      what was found out about them

A data set whose pictures are used where they are has a `root` instead of index and pictures.
"""

import json
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock

from core.errors import BadData

RECORD, INDEX, PICTURES, LOCK = "record.json", "index.json", "pictures", "lock"
RESULTS = "results"
TOKEN_LENGTH = 12
"""Characters of an import's token in the name of its data set's folder."""


@dataclass(frozen=True)
class Skipped:
    """Something that was left out when pictures came in, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class IndexEntry:
    """A picture that is kept in `file`, by its path below the pictures' folder, and what it was called."""

    file: str
    name: str
    label: str
    part: str


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
    notices: tuple[str, ...] = ()
    deleted: float | None = None


def list_datasets(shelf: Path) -> list[DataSet]:
    """Every data set that has its pictures, the newest first, but for those whose record is damaged."""
    if not shelf.is_dir():
        return []
    known = [one for folder in shelf.iterdir() if is_dataset(folder) and (one := _readable(folder))]
    return sorted((one for one in known if one.deleted is None), key=lambda one: -one.created)


def _readable(folder: Path) -> DataSet | None:
    try:
        return read_dataset(folder)
    except BadData:
        return None


def is_dataset(folder: Path) -> bool:
    """Whether a folder is a data set of Thaw's."""
    return (folder / RECORD).is_file()


def read_dataset(folder: Path) -> DataSet:
    """The record in `folder`. Raises BadData when it is damaged."""
    values = read_json(folder / RECORD)
    try:
        skipped = tuple(Skipped(**row) for row in values.pop("skipped"))
        root = values.pop("root")
        notices = tuple(values.pop("notices"))
        return DataSet(folder, root=Path(root) if root else None, skipped=skipped, notices=notices, **values)
    except (KeyError, TypeError) as error:
        raise BadData(f"{folder / RECORD} is damaged; import the pictures again.") from error


def read_index(folder: Path) -> tuple[IndexEntry, ...]:
    """The index of an imported data set. Raises BadData when it is damaged."""
    try:
        return tuple(IndexEntry(*row) for row in read_json(folder / INDEX)["pictures"])
    except (KeyError, TypeError) as error:
        raise BadData(f"{folder / INDEX} is damaged; import the pictures again.") from error


def link_folder(shelf: Path, name: str, root: Path) -> DataSet:
    """A data set of the pictures in `root`, which stay where they are and as they are."""
    shelf.mkdir(parents=True, exist_ok=True)
    with FileLock(shelf / LOCK):
        made = DataSet(
            shelf / new_id(name, secrets.token_hex(TOKEN_LENGTH // 2)),
            free_name(shelf, name),
            str(root),
            time.time(),
            root,
        )
        made.folder.mkdir()
        write_dataset(made)
    return made


def rename_dataset(data: DataSet, name: str, source: str) -> None:
    """Give a data set another name and note."""
    with FileLock(data.folder / LOCK):
        write_dataset(replace(read_dataset(data.folder), name=name, source=source))


def results_folder(folder: Path) -> Path:
    """Where results about the data set in `folder` are kept; they are deleted with its pictures."""
    return folder / RESULTS


def delete_dataset(data: DataSet, keep_record: bool) -> None:
    """Delete the pictures and the results about them. With `keep_record` the record stays, for runs that name it."""
    if not keep_record:
        shutil.rmtree(data.folder)
        return
    with FileLock(data.folder / LOCK):
        write_dataset(replace(read_dataset(data.folder), deleted=time.time()))
        for folder in (data.folder / PICTURES, results_folder(data.folder)):
            shutil.rmtree(folder, ignore_errors=True)


def read_json(file: Path) -> dict[str, Any]:
    """What a file of a data set holds. Raises BadData when it is damaged."""
    try:
        values = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise BadData(f"{file} cannot be read ({error}); import the pictures again.") from error
    if not isinstance(values, dict):
        raise BadData(f"{file} is damaged; import the pictures again.")
    return values


def write_json(file: Path, values: Mapping[str, Any]) -> None:
    """Write a file of a data set, whole or not at all."""
    partial = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    partial.write_text(json.dumps(values), encoding="utf-8")
    partial.replace(file)


def write_dataset(data: DataSet) -> None:
    values = asdict(data) | {"root": str(data.root) if data.root else None}
    del values["folder"]
    write_json(data.folder / RECORD, values)


def new_id(name: str, token: str) -> str:
    """The name of a new data set's folder: the plain ASCII of its name, and the beginning of `token`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return f"{re.sub('[^a-z0-9]+', '-', plain.lower()).strip('-')[:40] or 'data'}-{token[:TOKEN_LENGTH]}"


def free_name(shelf: Path, name: str) -> str:
    taken = {one.name for one in list_datasets(shelf)}
    if name not in taken:
        return name
    return next(other for number in count(2) if (other := f"{name} {number}") not in taken)


EDITS = "edits.json"


@dataclass(frozen=True)
class Edits:
    """By file: `removed` are left out, `labels` are in another class. `draw_split`: a val/ of its own is ignored."""

    removed: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    draw_split: bool = False


def read_edits(folder: Path) -> Edits:
    """The edits of the data set in `folder`. Raises BadData when their file is damaged."""
    if not (folder / EDITS).is_file():
        return Edits()
    values = read_json(folder / EDITS)
    try:
        return Edits(frozenset(values["removed"]), dict(values["labels"]), bool(values["draw_split"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadData(f"{folder / EDITS} is damaged; delete it, and the pictures are as they came in.") from error


def leave_out(folder: Path, files: Iterable[str]) -> None:
    """Leave pictures out."""
    _change_edits(folder, removed=files)


def bring_back(folder: Path, files: Iterable[str]) -> None:
    """Take pictures in again that were left out."""
    with FileLock(folder / LOCK):
        known = read_edits(folder)
        _write_edits(folder, Edits(known.removed - set(files), known.labels, known.draw_split))


def relabel(folder: Path, files: Iterable[str], label: str) -> None:
    """Put pictures into another class, which may be a new one."""
    _change_edits(folder, labels=dict.fromkeys(files, label))


def set_draw_split(folder: Path, wanted: bool) -> None:
    """Whether a split is drawn although the data set brings one."""
    with FileLock(folder / LOCK):
        known = read_edits(folder)
        _write_edits(folder, Edits(known.removed, known.labels, wanted))


def _change_edits(folder: Path, removed: Iterable[str] = (), labels: Mapping[str, str] | None = None) -> None:
    with FileLock(folder / LOCK):
        known = read_edits(folder)
        _write_edits(folder, Edits(known.removed | set(removed), {**known.labels, **(labels or {})}, known.draw_split))


def _write_edits(folder: Path, edits: Edits) -> None:
    values = {"removed": sorted(edits.removed), "labels": dict(edits.labels), "draw_split": edits.draw_split}
    write_json(folder / EDITS, values)
