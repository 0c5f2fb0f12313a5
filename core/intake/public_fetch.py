"""Fetch a data set of torchvision by its name, and give its pictures one after the other.

torchvision's classes say which files there are, with their checksums, and read the labels. The bytes are moved here,
because torchvision's own downloading can be neither followed nor stopped, waits for a silent server without end, and
takes a set that was half unpacked for a whole one.
"""

import gzip
import hashlib
import importlib.util
import random
import re
import shutil
import sys
import tarfile
import uuid
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import IO, Any, cast
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision import datasets
from torchvision.datasets.utils import USER_AGENT, check_integrity

from core.errors import BadData
from core.events import Progress
from core.intake.archive import Incoming, Member, Unreadable
from core.intake.public import PUBLIC_SETS, PublicSet

CHUNK = 2**20
"""Bytes between two events."""
TIMEOUT = 20.0
"""Seconds of silence after which a connection counts as broken."""

Source = Path | NDArray[np.uint8]
"""A picture: the file that it is kept in, or its pixels."""


@dataclass(frozen=True)
class _Layout:
    """How torchvision's class is asked for each part, and which of its attributes hold pictures and labels.

    The official test split is the part to validate on; all else is to train on.
    """

    parts: dict[str, list[dict[str, Any]]]
    images: str = "_image_files"
    labels: str = "_labels"


_LAYOUTS = {
    "CIFAR10": _Layout({"train": [{"train": True}], "val": [{"train": False}]}, "data", "targets"),
    "FashionMNIST": _Layout({"train": [{"train": True}], "val": [{"train": False}]}, "data", "targets"),
    "Flowers102": _Layout({"train": [{"split": "train"}, {"split": "val"}], "val": [{"split": "test"}]}),
    "OxfordIIITPet": _Layout({"train": [{"split": "trainval"}], "val": [{"split": "test"}]}, "_images"),
    "EuroSAT": _Layout({"": [{}]}, "samples", "targets"),
    "Food101": _Layout({"train": [{"split": "train"}], "val": [{"split": "test"}]}),
    "DTD": _Layout({"train": [{"split": "train"}, {"split": "val"}], "val": [{"split": "test"}]}),
}


@dataclass(frozen=True)
class _File:
    """A file of a data set: where it comes from and where it belongs; an archive is unpacked beside itself."""

    url: str
    path: Path
    md5: str | None
    is_archive: bool


_ASKING = Lock()
"""One at a time may put its own functions into a module of torchvision."""


def public_members(name: str, cache: Path, per_class: int | None, seed: int = 0) -> Iterator[Progress | Incoming]:
    """Every picture of the data set `name`, one of KNOWN, or `per_class` of each class in each part, drawn by `seed`.

    What is not in `cache` is downloaded and unpacked first; closing the generator on the way leaves nothing half done.
    Raises BadData when a file cannot be had, OSError when the disk is full.
    """
    known, layout = PUBLIC_SETS[name], _LAYOUTS[name]
    if name == "Flowers102" and importlib.util.find_spec("scipy") is None:
        raise BadData(f"{known.title} needs the package scipy, which is not installed: pip install scipy")
    opened = yield from _complete(known, cache)
    chosen: list[tuple[str, Source]] = []
    for part, sets in opened.items():
        entries = [entry for one in sets for entry in _entries(one, layout)]
        for index in _drawn([label for label, _, _ in entries], per_class, seed):
            label, file, source = entries[index]
            chosen.append(("/".join(filter(None, (part, label, file))), source))
    for number, (path, source) in enumerate(chosen, start=1):
        yield Member(path, partial(_content, source), number / len(chosen))


def _complete(known: PublicSet, cache: Path) -> Generator[Progress, None, dict[str, list[Any]]]:
    """torchvision's data sets for each part, after what is missing has been fetched."""
    with suppress(RuntimeError):  # It says so when files are missing.
        return _opened(known, cache)
    done = 0
    for file in _wanted(known, cache):
        if not check_integrity(file.path, file.md5):
            done = yield from _download(known, file, done)
        if file.is_archive:
            yield from _unpack(known, file.path)
    return _opened(known, cache)


def _opened(known: PublicSet, cache: Path) -> dict[str, list[Any]]:
    make = getattr(datasets, known.name)
    with warnings.catch_warnings():
        # CIFAR-10 was pickled when numpy wrote 0 and 1 for False and True; numpy 2.4.0 to 2.4.4 wonder at that.
        warnings.filterwarnings("ignore", r"dtype\(\): align should be passed")
        return {
            part: [make(str(cache), **options) for options in asked]
            for part, asked in _LAYOUTS[known.name].parts.items()
        }


def _wanted(known: PublicSet, cache: Path) -> list[_File]:
    """The files that torchvision's class would download now: for once, what it calls to do so only takes notes."""
    files: list[_File] = []

    def plain(url: str, root: str, filename: str | None = None, md5: str | None = None) -> None:
        files.append(_File(url, Path(root) / (filename or url.rpartition("/")[2]), md5, is_archive=False))

    def archive(url: str, download_root: str, filename: str | None = None, md5: str | None = None) -> None:
        files.append(_File(url, Path(download_root) / (filename or url.rpartition("/")[2]), md5, is_archive=True))

    make = getattr(datasets, known.name)
    options = next(iter(_LAYOUTS[known.name].parts.values()))[0]
    names: dict[str, Any] = vars(sys.modules[make.__module__])
    ours = {"download_url": plain, "download_and_extract_archive": archive}
    with _ASKING, suppress(RuntimeError):  # It says that the files are still not there.
        theirs = {name: names[name] for name in ours if name in names}
        names.update({name: ours[name] for name in theirs})
        try:
            make(str(cache), **options, download=True)
        finally:
            names.update(theirs)
    return files


def _download(known: PublicSet, file: _File, before: int) -> Generator[Progress, None, int]:
    """Fetch a file, which appears whole or not at all; `before` bytes came earlier. Returns how many there are now."""
    file.path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.path.with_name(f"{file.path.name}.{uuid.uuid4().hex}.partial")
    digest = hashlib.md5(usedforsecurity=False)
    done = before
    try:
        with unfinished.open("xb") as kept, closing(_chunks(known, file)) as chunks:
            for chunk, size in chunks:
                kept.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                yield Progress(f"Downloading {known.title}", done, max(done, before + size))
        if file.md5 not in (None, digest.hexdigest()):
            raise _unavailable(known, file, "what arrived is not the file that was asked for: its checksum differs")
        unfinished.replace(file.path)
    finally:
        unfinished.unlink(missing_ok=True)
    return done


def _chunks(known: PublicSet, file: _File) -> Generator[tuple[bytes, int], None, None]:
    """What the server sends, with the size of the whole, 0 if it does not say. Raises BadData, and only this does."""
    try:
        with urlopen(Request(file.url, headers={"User-Agent": USER_AGENT}), timeout=TIMEOUT) as response:
            size = int(response.headers["Content-Length"] or 0)
            while chunk := response.read(CHUNK):
                yield chunk, size
    except (OSError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()  # It is an answer too, and would keep the connection open.
        raise _unavailable(known, file, str(error.reason if type(error) is URLError else error)) from error


def _unavailable(known: PublicSet, file: _File, cause: str) -> BadData:
    return BadData(
        f"{known.title} could not be downloaded from {file.url} ({cause}). Copy that file into {file.path.parent} "
        f"as {file.path.name} by hand, or choose what needs no network: the sample data, or pictures of your own."
    )


def _unpack(known: PublicSet, path: Path) -> Iterator[Progress]:
    """Put what the archive holds beside it, at the end, so that it is there whole or not at all."""
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    size, told = path.stat().st_size, 0
    try:
        with path.open("rb") as packed, closing(_unpacked(packed, path.name)) as contents:
            yield Progress(f"Unpacking {known.title}", 0, size)
            for name, content in contents:
                target = unfinished / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as kept:
                    shutil.copyfileobj(content, kept)
                if packed.tell() >= told + CHUNK:
                    told = packed.tell()
                    yield Progress(f"Unpacking {known.title}", told, size)
        for whole in unfinished.iterdir():
            place = path.with_name(whole.name)
            if place.is_dir():
                shutil.rmtree(place)
            whole.replace(place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _unpacked(packed: IO[bytes], name: str) -> Generator[tuple[str, IO[bytes]], None, None]:
    """Name and contents of each file in an archive, whose checksum was right: it is what its publisher made."""
    if name.endswith(".zip"):
        with zipfile.ZipFile(packed) as zipped:
            for entry in zipped.infolist():
                if not entry.is_dir():
                    with zipped.open(entry) as content:
                        yield entry.filename, content
    elif name.endswith((".tar.gz", ".tgz")):
        with tarfile.open(fileobj=packed) as tarred:
            for member in tarred:
                if member.isfile():
                    yield member.name, cast(IO[bytes], tarred.extractfile(member))
    else:
        with gzip.open(packed) as single:
            yield name.removesuffix(".gz"), cast(IO[bytes], single)


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
    alike = defaultdict(list)
    for index, label in enumerate(labels):
        alike[label].append(index)
    most = len(labels) if per_class is None else per_class
    draw = random.Random(seed)
    return sorted(index for indices in alike.values() for index in draw.sample(indices, min(most, len(indices))))


def _content(source: Source) -> bytes:
    """An image file: the very one that the set keeps, or a PNG of its pixels. Raises Unreadable."""
    if isinstance(source, Path):
        try:
            return source.read_bytes()
        except OSError as error:
            raise Unreadable(f"it cannot be read ({error})") from error
    file = BytesIO()
    Image.fromarray(source).save(file, "PNG")
    return file.getvalue()
