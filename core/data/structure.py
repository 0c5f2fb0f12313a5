"""What names mean: which files are pictures, which folder is a class, a split, a wrapper, or nothing at all."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from core.messages import Message
from core.settings import Settings

LEFTOVERS = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
"""What systems leave behind beside dot-files; in lower case."""
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
PACKED_SUFFIXES = frozenset({".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst"})
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing", "tests"), "test"),
}
"""The split that a folder of this name (in lower case) stands for."""
ONE_FOLDER_PER_CLASS = Message("put the pictures into one folder per class, such as cats/ and dogs/")
LONGEST_NAME = 240
"""Characters of a name that is only shown: longer ones lose their middle."""
_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Invisible, but part of emoji and of Persian words."""
_DRIVE = re.compile(r"^[A-Za-z]:")


def is_leftover(parts: Sequence[str]) -> bool:
    """Whether a path, given by its parts, is one that systems leave behind and nobody wants to hear of."""
    return any(part.lower() in LEFTOVERS or (part.startswith(".") and part not in (".", "..")) for part in parts)


def suffix(name: str) -> str:
    """ ".jpg" of "Holiday.JPG" and of "Holiday.jpg. "; empty where there is none."""
    stem, dot, end = name.rstrip(". ").rpartition(".")
    return f".{end.lower()}" if dot and stem else ""


def printable(name: str) -> str:
    """A name that can be printed, stored and sent: composed (NFC), with a mark in place of each unprintable character.

    The mark also replaces right-to-left override characters, which can disguise a file name.
    """
    text = unicodedata.normalize("NFC", name)
    return "".join(c if c.isprintable() or c in _JOINERS else "\N{REPLACEMENT CHARACTER}" for c in text)


def short_name(name: str) -> str:
    """A printable name of at most LONGEST_NAME characters; "…" stands for the middle of a longer one."""
    text = printable(name)
    if len(text) <= LONGEST_NAME:
        return text
    half = (LONGEST_NAME - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def class_name(folder: str) -> str:
    """The class that a folder stands for: its name without the dots and blanks at its end that systems add or drop."""
    return printable(folder).strip().rstrip(". ") or "unnamed"


def path_fault(name: str, allowed: Settings) -> Message | None:
    """Why a path out of an archive or a browser is refused; None for one that stays below where it is put."""
    if "\0" in name:
        return Message("its name holds a zero byte")
    if "\\" in name or _DRIVE.match(name):
        return Message("its name is a path of Windows (a drive or backslashes); pack it again with another program")
    if name.startswith("/"):
        return Message("its path begins at the root of a disk")
    parts = name.split("/")
    if ".." in parts:
        return Message("its path leads out of the archive (..)")
    if len(parts) > allowed.max_depth + 1:
        return Message("it lies in more than {most} folders, one inside the other", most=allowed.max_depth)
    if max(map(len, parts)) > allowed.max_name:
        return Message("its name is longer than {most} characters", most=allowed.max_name)
    return None


@dataclass(frozen=True)
class Placement:
    """Where a picture belongs. `split` is "train", "val", "test", or empty where a split is yet to be drawn."""

    split: str
    label: str


def placements(names: Sequence[str]) -> list[Placement | Message]:
    """For each path ("photos/train/cats/1.jpg") where it belongs, or why it belongs nowhere.

    Folders that hold everything are looked through. Folders inside a class are part of it. train/ is a split where it
    has classes in it and val/ or test/ beside it.
    """
    paths = [[part for part in name.split("/") if part not in ("", ".")] for name in names]
    while _all_in_one_folder(paths):
        paths = [path[1:] for path in paths]
    with_classes = {SPLITS.get(path[0].lower()) for path in paths if len(path) > 2}
    beside = {SPLITS.get(path[0].lower()) for path in paths if len(path) > 1} & {"val", "test"}
    if "train" not in with_classes or not beside:
        return [_in_class(path, "") for path in paths]
    return [_in_split(path, "val" if "val" in beside else "test") for path in paths]


def warn_case_only(labels: Iterable[str]) -> Iterator[Message]:
    """A sentence about each class whose name differs from another one in upper and lower case only."""
    folded = Counter(label.casefold() for label in labels)
    for label in sorted(label for label in labels if folded[label.casefold()] > 1):
        yield Message(
            "The class {label} differs from another one in upper and lower case only; relabel one if it is the same.",
            label=label,
        )


def warn_merged(names: Iterable[str]) -> Iterator[Message]:
    """A sentence about each class that holds several folders, because their names look the same."""
    spellings: dict[str, set[str]] = defaultdict(set)
    for name in names:
        for folder in name.split("/")[:-1]:
            spellings[class_name(folder)].add(folder)
    template = "{count} folders whose names look the same were put together: {label}."
    for label, folders in spellings.items():
        if len(folders) > 1:
            yield Message(template, label=label, count=len(folders))


def _all_in_one_folder(paths: list[list[str]]) -> bool:
    """Whether the first folder is no class: it has several folders in it, or nothing else than one."""
    if len({path[0] for path in paths if path}) != 1 or min(map(len, paths)) < 2:
        return False
    inside = {path[1] for path in paths if len(path) > 2}
    return len(inside) > 1 or all(len(path) > 2 for path in paths)


def _in_split(path: list[str], other: str) -> Placement | Message:
    split = SPLITS.get(path[0].lower()) if len(path) > 1 else None
    if split is None:
        return Message("it is beside train/ and {other}/, not in them", other=other)
    return _in_class(path[1:], split)


def _in_class(path: list[str], split: str) -> Placement | Message:
    if len(path) > 1:
        return Placement(split, class_name(path[0]))
    return Message("it is in no class; {advice}", advice=ONE_FOLDER_PER_CLASS)
