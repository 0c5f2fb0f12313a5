"""From paths to classes: what the folders of an archive, or of a disk, mean."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from core.data.names import class_name

PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What folders are called that bring a split along, in lower case."""
SHAPE = "put the pictures into one folder per class, such as cats/ and dogs/"


@dataclass(frozen=True)
class Place:
    """Where a picture belongs. `part` is "train", "val", or empty where a split is yet to be drawn."""

    part: str
    label: str


def places(names: Sequence[str]) -> list[Place | str]:
    """For each path ("photos/train/cats/1.jpg") where it belongs, or a sentence about why nowhere.

    Folders that hold everything are looked through; folders inside a class are part of it. test/ stands in for a
    missing val/.
    """
    paths = [[part for part in name.split("/") if part not in ("", ".")] for name in names]
    while _all_in_one_folder(paths):
        paths = [path[1:] for path in paths]
    tops = {PARTS.get(path[0].lower(), "") if len(path) > 2 else "" for path in paths}
    is_split = "train" in tops and bool(tops & {"val", "test"})
    validates = "val" if "val" in tops else "test"
    return [_in_split(path, validates) if is_split else _in_class(path, "") for path in paths]


def _all_in_one_folder(paths: list[list[str]]) -> bool:
    """Whether the first folder is no class: it has several folders in it, or nothing else than one."""
    if len({path[0] for path in paths if path}) != 1 or min(map(len, paths)) < 2:
        return False
    inside = {path[1] for path in paths if len(path) > 2}
    return len(inside) > 1 or all(len(path) > 2 for path in paths)


def _in_split(path: list[str], validates: str) -> Place | str:
    part = PARTS.get(path[0].lower())
    if part is None:
        return f"it is beside train/ and {validates}/, not in them"
    if part not in ("train", validates):
        return f"{path[0]}/ was left out: {validates}/ is there to validate"
    return _in_class(path[1:], "train" if part == "train" else "val")


def _in_class(path: list[str], part: str) -> Place | str:
    return Place(part, class_name(path[0])) if len(path) > 1 else f"it is in no class; {SHAPE}"


def alike(labels: Iterable[str]) -> Iterator[str]:
    """Sentences about classes that differ in upper and lower case only."""
    folded = Counter(label.casefold() for label in labels)
    for label in sorted(label for label in labels if folded[label.casefold()] > 1):
        yield f"The class {label} differs from another one in upper and lower case only; relabel one if it is the same."


def merged(names: Iterable[str]) -> Iterator[str]:
    """Sentences about classes that several folders were put into because their names look the same."""
    spelt: dict[str, set[str]] = defaultdict(set)
    for name in names:
        for folder in name.split("/")[:-1]:
            spelt[class_name(folder)].add(folder)
    for label, folders in spelt.items():
        if len(folders) > 1:
            yield f"{len(folders)} folders whose names look the same were put together: {label}."
