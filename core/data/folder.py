"""Look at a folder of classes without opening a single image."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from natsort import natsorted

from core.errors import BadData

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
SHAPE = "put the pictures into one folder per class, such as cats/ and dogs/"


@dataclass(frozen=True)
class Example:
    """One image file and the index of its class."""

    path: Path
    label: int


@dataclass(frozen=True)
class ImageFolder:
    """What a folder holds. `val` is None where the folder has no val/ of its own and a split has to be drawn.

    `classes` are folder names in natural order ("2" before "10"); a label is an index into them.
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
    """Find classes and images below `path`, which holds class folders, or train/ and val/ of class folders.

    Raises BadData when it is missing, or holds fewer than two classes with images.
    """
    if not path.is_dir():
        raise BadData(f"{path} is not a folder; give the path of a folder that has one folder of pictures per class.")
    if (path / "train").is_dir() and (path / "val").is_dir():
        return _look_at_split(path)
    found = _classes(path)
    classes = _with_images(path, found)
    return ImageFolder(path, classes, _examples(classes, found), None, _empty(found))


def _look_at_split(path: Path) -> ImageFolder:
    train, val = _classes(path / "train"), _classes(path / "val")
    classes = _with_images(path / "train", train)
    strangers = [name for name in _with_any(val) if name not in classes]
    notices = [f"val/{name} was left out: train/ has no pictures of that class." for name in strangers]
    notices += [f"{name} has no pictures in val/, so nothing validates it." for name in classes if not val.get(name)]
    notices = [*_empty(train), *notices]
    return ImageFolder(path, classes, _examples(classes, train), _examples(classes, val), tuple(notices))


def _classes(path: Path) -> dict[str, tuple[Path, ...]]:
    """Image files by class folder, both in natural order."""
    folders = natsorted((p for p in path.iterdir() if p.is_dir() and not _ignored(p)), key=lambda p: p.name)
    return {folder.name: tuple(natsorted(_images(folder))) for folder in folders}


def _images(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if _ignored(path):
            continue
        if path.is_dir():
            yield from _images(path)
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            yield path


def _ignored(path: Path) -> bool:
    """What operating systems leave behind: dot-files and the folders of macOS archives."""
    return path.name.startswith(".") or path.name == "__MACOSX" or path.is_symlink()


def _with_any(found: dict[str, tuple[Path, ...]]) -> list[str]:
    return [name for name, files in found.items() if files]


def _with_images(path: Path, found: dict[str, tuple[Path, ...]]) -> tuple[str, ...]:
    classes = _with_any(found)
    if len(classes) >= 2:
        return tuple(classes)
    if classes:
        raise BadData(f"{path} has pictures of one class only ({classes[0]}); add a folder for a second class.")
    if any(_images(path)):
        raise BadData(f"{path} has pictures but no classes; {SHAPE}.")
    raise BadData(f"{path} has no pictures; {SHAPE}. Formats: {', '.join(sorted(s[1:] for s in IMAGE_SUFFIXES))}.")


def _empty(found: dict[str, tuple[Path, ...]]) -> tuple[str, ...]:
    return tuple(f"The class {name} was left out: it has no pictures." for name, files in found.items() if not files)


def _examples(classes: tuple[str, ...], found: dict[str, tuple[Path, ...]]) -> tuple[Example, ...]:
    return tuple(Example(path, label) for label, name in enumerate(classes) for path in found.get(name, ()))
