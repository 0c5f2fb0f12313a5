"""What people change about pictures without touching a file: left out, in another class, split anew."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from core.data.stored import LOCK, read_json, write_json
from core.errors import BadData

EDITS = "edits.json"


@dataclass(frozen=True)
class Edits:
    """By file: `removed` are left out, `labels` are in another class. `draw_split`: a val/ of its own is ignored."""

    removed: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    draw_split: bool = False


def read(folder: Path) -> Edits:
    """The edits of the data set in `folder`. Raises BadData when their file is damaged."""
    if not (folder / EDITS).is_file():
        return Edits()
    values = read_json(folder / EDITS)
    try:
        return Edits(frozenset(values["removed"]), dict(values["labels"]), bool(values["draw_split"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadData(f"{folder / EDITS} is damaged; delete it, and the pictures are as they came in.") from error


def remove(folder: Path, files: Iterable[str]) -> None:
    """Leave pictures out."""
    _change(folder, removed=files)


def bring_back(folder: Path, files: Iterable[str]) -> None:
    """Take pictures in again that were left out."""
    with FileLock(folder / LOCK):
        known = read(folder)
        _write(folder, Edits(known.removed - set(files), known.labels, known.draw_split))


def relabel(folder: Path, files: Iterable[str], label: str) -> None:
    """Put pictures into another class, which may be a new one."""
    _change(folder, labels=dict.fromkeys(files, label))


def draw_split(folder: Path, wanted: bool) -> None:
    """Whether a split is drawn although the data set brings one."""
    with FileLock(folder / LOCK):
        known = read(folder)
        _write(folder, Edits(known.removed, known.labels, wanted))


def _change(folder: Path, removed: Iterable[str] = (), labels: Mapping[str, str] | None = None) -> None:
    with FileLock(folder / LOCK):
        known = read(folder)
        _write(folder, Edits(known.removed | set(removed), {**known.labels, **(labels or {})}, known.draw_split))


def _write(folder: Path, edits: Edits) -> None:
    values = {"removed": sorted(edits.removed), "labels": dict(edits.labels), "draw_split": edits.draw_split}
    write_json(folder / EDITS, values)
