"""What names mean: which files are pictures, which folder is a class, a split, a wrapper, or nothing at all."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from core.settings import settings

LEFTOVERS = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
"""What systems leave behind beside dot-files; in lower case."""
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
PACKED_SUFFIXES = frozenset({".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst"})
JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Invisible, but part of emoji and of Persian words."""
_DRIVE = re.compile(r"^[A-Za-z]:")


def is_leftover(parts: Sequence[str]) -> bool:
    """Whether a path, by its parts, is something that nobody wants to hear of."""
    return any(part.lower() in LEFTOVERS or (part.startswith(".") and part not in (".", "..")) for part in parts)


def suffix(name: str) -> str:
    """ ".jpg" of "Holiday.JPG" and of "Holiday.jpg. "; empty where there is none."""
    stem, dot, end = name.rstrip(". ").rpartition(".")
    return f".{end.lower()}" if dot and stem else ""


def printable(name: str) -> str:
    """A name that can be printed, stored and sent: composed (NFC), with a mark for what is no character.

    Nor is what turns the direction of a line, by which a name can claim to be another.
    """
    text = unicodedata.normalize("NFC", name)
    return "".join(c if c.isprintable() or c in JOINERS else "\N{REPLACEMENT CHARACTER}" for c in text)


def class_name(part: str) -> str:
    """The class that a folder stands for: its name without the dots and blanks at its end that systems add or drop."""
    return printable(part).strip().rstrip(". ") or "unnamed"


def path_fault(name: str) -> str | None:
    """Why a path out of an archive or a browser is refused; None for one that stays below where it is put."""
    allowed = settings()
    if "\0" in name:
        return "its name holds a zero byte"
    if "\\" in name or _DRIVE.match(name):
        return "its name is a path of Windows (a drive or backslashes); pack it again with another program"
    if name.startswith("/"):
        return "its path begins at the root of a disk"
    parts = name.split("/")
    if ".." in parts:
        return "its path leads out of the archive (..)"
    if len(parts) > allowed.max_depth + 1:
        return f"it lies in more than {allowed.max_depth} folders, one inside the other"
    if max(map(len, parts)) > allowed.max_name:
        return f"its name is longer than {allowed.max_name} characters"
    return None


SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What folders are called that bring a split along, in lower case."""
ONE_FOLDER_PER_CLASS = "put the pictures into one folder per class, such as cats/ and dogs/"


@dataclass(frozen=True)
class Placement:
    """Where a picture belongs. `part` is "train", "val", or empty where a split is yet to be drawn."""

    part: str
    label: str


def placements(names: Sequence[str]) -> list[Placement | str]:
    """For each path ("photos/train/cats/1.jpg") where it belongs, or a sentence about why nowhere.

    Folders that hold everything are looked through; folders inside a class are part of it. test/ stands in for a
    missing val/.
    """
    paths = [[part for part in name.split("/") if part not in ("", ".")] for name in names]
    while _all_in_one_folder(paths):
        paths = [path[1:] for path in paths]
    tops = {SPLITS.get(path[0].lower(), "") if len(path) > 2 else "" for path in paths}
    is_split = "train" in tops and bool(tops & {"val", "test"})
    validates = "val" if "val" in tops else "test"
    return [_in_split(path, validates) if is_split else _in_class(path, "") for path in paths]


def _all_in_one_folder(paths: list[list[str]]) -> bool:
    """Whether the first folder is no class: it has several folders in it, or nothing else than one."""
    if len({path[0] for path in paths if path}) != 1 or min(map(len, paths)) < 2:
        return False
    inside = {path[1] for path in paths if len(path) > 2}
    return len(inside) > 1 or all(len(path) > 2 for path in paths)


def _in_split(path: list[str], validates: str) -> Placement | str:
    part = SPLITS.get(path[0].lower())
    if part is None:
        return f"it is beside train/ and {validates}/, not in them"
    if part not in ("train", validates):
        return f"{path[0]}/ was left out: {validates}/ is there to validate"
    return _in_class(path[1:], "train" if part == "train" else "val")


def _in_class(path: list[str], part: str) -> Placement | str:
    return Placement(part, class_name(path[0])) if len(path) > 1 else f"it is in no class; {ONE_FOLDER_PER_CLASS}"


def warn_case_only(labels: Iterable[str]) -> Iterator[str]:
    """Sentences about classes that differ in upper and lower case only."""
    folded = Counter(label.casefold() for label in labels)
    for label in sorted(label for label in labels if folded[label.casefold()] > 1):
        yield f"The class {label} differs from another one in upper and lower case only; relabel one if it is the same."


def warn_merged(names: Iterable[str]) -> Iterator[str]:
    """Sentences about classes that several folders were put into because their names look the same."""
    spelt: dict[str, set[str]] = defaultdict(set)
    for name in names:
        for folder in name.split("/")[:-1]:
            spelt[class_name(folder)].add(folder)
    for label, folders in spelt.items():
        if len(folders) > 1:
            yield f"{len(folders)} folders whose names look the same were put together: {label}."
