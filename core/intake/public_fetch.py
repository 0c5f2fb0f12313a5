"""Fetch a data set of torchvision by its name, and give its pictures one after the other.

torchvision's classes read the labels. The bytes are moved here, because torchvision's own downloading can be neither
followed nor stopped, waits for a silent server without end, and takes a set that was half unpacked for a whole one.
"""

import gzip
import importlib.util
import random
import re
import shutil
import warnings
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision import datasets
from torchvision.datasets.utils import check_integrity

from core import files
from core.errors import BadData
from core.events import Progress
from core.files import DownloadFailed, download
from core.intake.archive import ArchiveReader, Incoming, Member, Unreadable
from core.intake.public import PUBLIC_SETS, PublicFile, PublicSet
from core.intake.tar import tar_members
from core.intake.zip import zip_members
from core.messages import Message
from core.settings import Settings, settings

CHUNK = 2**20
"""Bytes between two words about how far unpacking is."""
ROOM: dict[str, Any] = {
    "max_unpacked_mb": 50_000,
    "max_file_mb": 1_000,
    "max_files": 1_000_000,
    "max_depth": 20,
    "max_name": 250,
    "max_ratio": 1_000,
}
"""Limits for the archives of publishers, whose checksums were right: five times what the largest needs, or more."""

Source = Path | NDArray[np.uint8]
"""A picture: the file that it is kept in, or its pixels."""


@dataclass(frozen=True)
class _Layout:
    """How torchvision's class is asked for each split, and which of its attributes hold pictures and labels.

    The official test split comes in as the test; all else is to train on, and validation is drawn from it.
    """

    splits: dict[str, list[dict[str, Any]]]
    images: str = "_image_files"
    labels: str = "_labels"


_LAYOUTS = {
    "CIFAR10": _Layout({"train": [{"train": True}], "test": [{"train": False}]}, "data", "targets"),
    "FashionMNIST": _Layout({"train": [{"train": True}], "test": [{"train": False}]}, "data", "targets"),
    "Flowers102": _Layout({"train": [{"split": "train"}, {"split": "val"}], "test": [{"split": "test"}]}),
    "OxfordIIITPet": _Layout({"train": [{"split": "trainval"}], "test": [{"split": "test"}]}, "_images"),
    "EuroSAT": _Layout({"": [{}]}, "samples", "targets"),
    "Food101": _Layout({"train": [{"split": "train"}], "test": [{"split": "test"}]}),
    "DTD": _Layout({"train": [{"split": "train"}, {"split": "val"}], "test": [{"split": "test"}]}),
}


def public_members(name: str, cache: Path, per_class: int | None, seed: int = 0) -> Iterator[Progress | Incoming]:
    """Every picture of a data set of PUBLIC_SETS, or `per_class` of each class in each split, drawn by `seed`.

    What is not in `cache` is downloaded and unpacked first; closing the generator on the way leaves nothing half done.
    Raises BadData when a file cannot be had, OSError when the disk is full.
    """
    public, layout = PUBLIC_SETS[name], _LAYOUTS[name]
    if name == "Flowers102" and importlib.util.find_spec("scipy") is None:
        raise BadData("{title} needs the package scipy, which is not installed: pip install scipy", title=public.title)
    opened = yield from _complete(public, cache)
    chosen: list[tuple[str, Source]] = []
    for split, sets in opened.items():
        entries = [entry for one in sets for entry in _entries(one, layout)]
        for index in _drawn([label for label, _, _ in entries], per_class, seed):
            label, file, source = entries[index]
            chosen.append(("/".join(filter(None, (split, label, file))), source))
    for number, (path, source) in enumerate(chosen, start=1):
        yield Member(path, partial(_content, source), number / len(chosen))


def _complete(public: PublicSet, cache: Path) -> Generator[Progress, None, dict[str, list[Any]]]:
    """torchvision's data sets for each split, after what is missing has been fetched."""
    with suppress(RuntimeError):  # torchvision raises it when files are missing.
        return _opened(public, cache)
    done = 0
    for file in public.files:
        path = cache / file.folder / file.name
        if not check_integrity(path, file.md5):
            done = yield from _fetch(public, file, path, done)
        if file.is_archive:
            yield from _unpack(public, path)
    return _opened(public, cache)


def _opened(public: PublicSet, cache: Path) -> dict[str, list[Any]]:
    make = getattr(datasets, public.name)
    with warnings.catch_warnings():
        # CIFAR-10 was pickled when numpy wrote 0 and 1 for False and True; numpy 2.4.0 to 2.4.4 warn of that.
        warnings.filterwarnings("ignore", r"dtype\(\): align should be passed")
        return {
            split: [make(str(cache), **options) for options in asked]
            for split, asked in _LAYOUTS[public.name].splits.items()
        }


def _fetch(public: PublicSet, file: PublicFile, path: Path, before: int) -> Generator[Progress, None, int]:
    """Download a file; `before` bytes came earlier. Returns how many there are now."""
    done = 0
    stage = Message("Downloading {title}", title=public.title)
    try:
        with closing(download(file.url, path, f"md5:{file.md5}")) as steps:
            for done, total in steps:
                yield Progress(stage, before + done, before + total)
    except DownloadFailed as error:
        template = (
            "{title} could not be downloaded from {url} ({cause}). Copy that file into {folder} as {name} by hand, or "
            "choose what needs no network: the sample data, or pictures of your own."
        )
        raise BadData(
            template, title=public.title, url=file.url, cause=error.reason, folder=path.parent, name=path.name
        ) from error
    return before + done


def _unpack(public: PublicSet, path: Path) -> Iterator[Progress]:
    """Put what the archive holds beside it, at the end, so that it is there whole or not at all."""
    unfinished = files.partial_name(path)
    stage, size, said = Message("Unpacking {title}", title=public.title), path.stat().st_size, 0.0
    unfinished.mkdir()
    try:
        yield Progress(stage, 0, size)
        with path.open("rb") as packed, closing(_unpacked(packed, path.name, size)) as members:
            for member in members:
                target = unfinished / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(member.read())
                if member.share * size >= said + CHUNK:
                    said = member.share * size
                    yield Progress(stage, round(said), size)
        for whole in unfinished.iterdir():
            place = path.with_name(whole.name)
            if place.is_dir():
                files.remove_folder(place)
            files.move_into_place(whole, place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _unpacked(packed: IO[bytes], name: str, size: int) -> Generator[Member, None, None]:
    """What is in an archive, read like anybody's, with room for what publishers make. Raises BadData."""
    allowed = replace(settings(), **ROOM)
    if name.endswith(".zip"):
        incoming = zip_members(packed, name, size, allowed)
    elif name.endswith((".tar.gz", ".tgz")):
        incoming = tar_members(packed, name, size, allowed)
    else:
        incoming = _single_member(packed, name, allowed)
    yield from (one for one in incoming if isinstance(one, Member))


def _single_member(packed: IO[bytes], name: str, allowed: Settings) -> Iterator[Incoming]:
    """The one file that gzip alone has packed."""
    with gzip.open(packed) as unpacked:
        content = ArchiveReader(unpacked, packed, name, allowed)
        pieces = iter(lambda: content.read(CHUNK), b"")
        yield Member(name.removesuffix(".gz"), lambda: b"".join(pieces), 1.0)


def _entries(dataset: Any, layout: _Layout) -> Iterator[tuple[str, str, Source]]:
    """Class, file name and source of each picture; none is opened."""
    images = getattr(dataset, layout.images)
    if not isinstance(images, list):
        images = np.asarray(images)
    for number, (image, label) in enumerate(zip(images, getattr(dataset, layout.labels), strict=True)):
        name = _readable(dataset.classes[int(label)])
        if isinstance(image, np.ndarray):
            yield name, f"{number:05}.png", image
        else:
            path = Path(image[0] if isinstance(image, tuple) else image)
            yield name, path.name, path


def _readable(name: str) -> str:
    """A class as people write it, and fit for a folder: "Annual Crop", "apple pie", "T-shirt or top"."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.replace("_", " "))
    return spaced.replace("/", " or ").replace("?", "")


def _drawn(labels: Sequence[str], per_class: int | None, seed: int) -> list[int]:
    """Which of the pictures to take, in their order."""
    by_label = defaultdict(list)
    for index, label in enumerate(labels):
        by_label[label].append(index)
    most = len(labels) if per_class is None else per_class
    draw = random.Random(seed)
    return sorted(index for indices in by_label.values() for index in draw.sample(indices, min(most, len(indices))))


def _content(source: Source) -> bytes:
    """An image file: the very one that the set keeps, or a PNG of its pixels. Raises Unreadable."""
    if isinstance(source, Path):
        try:
            return source.read_bytes()
        except OSError as error:
            raise Unreadable(Message("it cannot be read ({cause})", cause=str(error))) from error
    file = BytesIO()
    Image.fromarray(source).save(file, "PNG")
    return file.getvalue()
