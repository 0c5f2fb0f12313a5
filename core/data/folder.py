"""Look at a folder of classes without opening a single image."""

from dataclasses import dataclass
from pathlib import Path

from core.data import stored
from core.data.found import Findings, find
from core.data.layout import SHAPE
from core.data.limits import limits
from core.data.names import IMAGE_SUFFIXES, is_rubbish, suffix
from core.errors import BadData


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


def look(path: Path) -> ImageFolder:
    """Find classes and images at `path` (`core.data.found`).

    Raises BadData when it is missing, holds fewer than two classes with images, or more classes than are allowed.
    """
    return arrange(path, find(path))


def arrange(path: Path, found: Findings) -> ImageFolder:
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
    if len(classes) > limits().classes:
        raise BadData(f"There are {len(classes):,} classes; {limits().classes:,} are allowed (THAW_MAX_CLASSES).")
    if len(classes) >= 2:
        return
    if classes:
        raise BadData(f"{_called(path)} has pictures of one class only ({classes[0]}); add a second class.")
    if any(suffix(file.name) in IMAGE_SUFFIXES for file in path.iterdir() if not is_rubbish([file.name])):
        raise BadData(f"{_called(path)} has pictures but no classes; {SHAPE}.")
    formats = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
    raise BadData(f"{_called(path)} has no pictures; {SHAPE}. Formats: {formats}.")


def _called(path: Path) -> str:
    """The name by which people know the pictures: a data set's own, or a folder's path."""
    return stored.read(path).name if stored.is_one(path) else str(path)
