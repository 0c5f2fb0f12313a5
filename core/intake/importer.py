"""Take pictures in: a new data set, or more pictures for an old one.

Each file is decoded, written anew so that it holds its picture only, and put under a name of our own into a staging
folder. That folder is moved into place at the end, so that an import which ends early leaves nothing behind.
"""

import os
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from filelock import FileLock
from PIL import Image

from core import files
from core.data import datasets
from core.data.datasets import DataSet, IndexEntry, Skipped
from core.data.images import ORIENTATION, as_seen, image_fault, is_animated, open_image, orientation
from core.data.scan import too_many_classes
from core.data.structure import (
    IMAGE_SUFFIXES,
    Placement,
    placements,
    printable,
    short_name,
    suffix,
    warn_case_only,
    warn_merged,
)
from core.errors import BadData, BadImage
from core.events import Progress
from core.intake.archive import Incoming, Member, Unreadable, damaged, demand_small, file_too_large, skipped
from core.intake.tar import is_tar, tar_members
from core.intake.zip import zip_members
from core.messages import Message
from core.settings import settings

STAGING = ".staging-"
"""How the names of folders begin in which something is coming in; the import's token follows."""
LISTED = 1000
"""Skipped files that are kept by name."""
FOLDER_SIZE = 1000
"""Most files in one folder: file systems and file managers are slow with more."""
AHEAD = 2 * (os.cpu_count() or 1)
"""Files that are in memory at once."""
STAGE, FINE = Message("Reading pictures"), 1000
"""What progress says, and its units: thousandths of the whole."""
SCAN, SCANS = b"\xff\xda", 100
"""What begins a JPEG's scan, and how many it may have: each takes the time of the whole picture. Usual are up to 10."""
LARGE = 10_000_000
"""Pixels above which a picture is decoded while no other such one is: it takes hundreds of megabytes."""
LOSSY = frozenset({"MPO", "WEBP", "HEIF", "AVIF"})
"""Formats of photos, which are written as JPEG: as PNG, they would take many times the room."""
QUALITY = 95
FOREIGN = {b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive"}
"""Archives that are not read, by how they begin."""
_large = threading.Lock()


def archive_members(path: Path, title: str | None = None) -> Iterator[Incoming]:
    """All that the archive at `path` holds, in its own order, but for what systems leave behind.

    Sentences call it by its `title`, or else by its file's name. Raises BadData when it is no zip or tar archive, is
    damaged, or over a limit.
    """
    allowed = settings()
    name, size = short_name(title or path.name), path.stat().st_size
    demand_small(size, name, allowed)
    with path.open("rb") as file:
        start = file.read(512)
        if foreign := next((kind for magic, kind in FOREIGN.items() if start.startswith(magic)), None):
            template = "{name} is {kind}, which Thaw does not read; unpack it, and choose the folder or a zip."
            raise BadData(template, name=name, kind=Message(foreign))
        if is_tar(start):
            yield from tar_members(file, name, size, allowed)
        elif zipfile.is_zipfile(file):
            yield from zip_members(file, name, size, allowed)
        else:
            raise damaged(name, Message("it begins like neither"))


def create_dataset(
    library: Path, name: str, source: str, incoming: Iterable[Incoming], token: str
) -> Generator[Progress, None, DataSet]:
    """Make a new data set of all that comes; `token` (hexadecimal, 12 characters or more) is the import's own.

    It is built aside and moved into place at the end. The same token makes the same data set: where it is there
    already, nothing is imported. Raises BadData when no picture comes, and what `store_pictures` raises; an error, or
    closing the generator, leaves nothing behind. What a killed process leaves is removed by the next call with its
    token, or by `clear_staging`.
    """
    library.mkdir(parents=True, exist_ok=True)
    target = library / datasets.new_id(name, token)
    if datasets.is_dataset(target):
        return datasets.read_dataset(target)
    with _staging(library, token) as folder:
        stored = yield from store_pictures(incoming, folder / datasets.PICTURES)
        datasets.write_index(folder, stored.pictures)
        with FileLock(library / datasets.LOCK):
            made = _with(DataSet(target, datasets.free_name(library, name), source, time.time()), stored)
            datasets.write_dataset(replace(made, folder=folder))
            files.move_into_place(folder, target)
    return made


def extend_dataset(data: DataSet, incoming: Iterable[Incoming], token: str) -> Generator[Progress, None, DataSet]:
    """Add more pictures to an imported data set: all that come, or none when anything goes wrong.

    `token` (hexadecimal) is the import's own and names the folder of its pictures: with a token whose pictures are in
    the index already, nothing is imported. Raises BadData when no picture comes or the data set is deleted meanwhile,
    and what `store_pictures` raises.
    """
    try:
        return (yield from _extended(data, incoming, token))
    except (OSError, BadData):
        _require_undeleted(data)
        raise


def _extended(data: DataSet, incoming: Iterable[Incoming], token: str) -> Generator[Progress, None, DataSet]:
    if any(entry.file.startswith(f"{token}/") for entry in datasets.read_index(data.folder)):
        return datasets.read_dataset(data.folder)
    with _staging(data.folder, token) as folder:
        stored = yield from store_pictures(incoming, folder)
        with FileLock(data.folder / datasets.LOCK):
            _require_undeleted(data)
            known = datasets.read_dataset(data.folder)
            batch = data.folder / datasets.PICTURES / token
            shutil.rmtree(batch, ignore_errors=True)  # Not in the index: left by a process that was killed right here.
            files.move_into_place(folder, batch)
            added = [replace(entry, file=f"{token}/{entry.file}") for entry in stored.pictures]
            datasets.write_index(data.folder, (*datasets.read_index(data.folder), *added))
            extended = _with(known, stored)
            datasets.write_dataset(extended)
    return extended


def _require_undeleted(data: DataSet) -> None:
    """Raises BadData when a data set is no longer there, or its record alone."""
    if not datasets.is_dataset(data.folder) or datasets.read_dataset(data.folder).deleted is not None:
        template = "The data set {name} was deleted while pictures were added to it; import them as a new data set."
        raise BadData(template, name=data.name)


def clear_staging(library: Path, is_over: Callable[[str, float], bool]) -> None:
    """Delete what killed processes left of their imports; `is_over` is asked with each token and its age in seconds."""
    for folder in (*library.glob(f"{STAGING}*"), *library.glob(f"*/{STAGING}*")):
        with suppress(FileNotFoundError):  # Its own import was faster.
            if is_over(folder.name.removeprefix(STAGING), time.time() - folder.stat().st_mtime):
                shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class StoredPictures:
    """All that was taken in, what was not, and sentences about the whole."""

    pictures: tuple[IndexEntry, ...]
    skipped: tuple[Skipped, ...]
    notices: tuple[Message, ...]


def store_pictures(incoming: Iterable[Incoming], folder: Path) -> Generator[Progress, None, StoredPictures]:
    """Put all pictures that come into `folder`, which is made where it is not there; says how far it is.

    Raises BadData when no picture comes or more than is allowed; what the source raises; OSError when the disk is full.
    """
    folder.mkdir(exist_ok=True)
    written: list[tuple[str, str]] = []
    left_out: list[Skipped] = []
    animations = size = 0
    most = settings().max_unpacked_mb
    with closing(_read_ahead(incoming, folder)) as outcomes:
        for share, name, outcome in outcomes:
            if isinstance(outcome, Skipped):
                left_out.append(outcome)
            else:
                file, animated = outcome
                written.append((file, name))
                animations += animated
                size += (folder / file).stat().st_size
                if size > most * 1_000_000:
                    template = "The pictures take more than {most:,} MB (the setting THAW_MAX_UNPACKED_MB)."
                    raise BadData(template, most=most)
            yield Progress(STAGE, round(share * FINE), FINE)
    names = [name for _file, name in written]
    pictures: list[IndexEntry] = []
    for (file, name), placement in zip(written, placements(names), strict=True):
        if isinstance(placement, Placement):
            pictures.append(IndexEntry(file, printable(name), placement.label, placement.split))
        else:
            left_out.append(skipped(name, placement))
            (folder / file).unlink()
    _require_pictures(pictures, left_out)
    notices = [*warn_case_only({entry.label for entry in pictures}), *warn_merged(names)]
    if animations:
        template = "{count:,} animations or files of several pages: only their first picture is used."
        notices.append(Message(template, count=animations))
    return StoredPictures(tuple(pictures), tuple(left_out), tuple(notices))


def strip_metadata(image: Image.Image) -> tuple[bytes, str]:
    """The bytes of a file to keep for `image`, which was opened and loaded, and the suffix of its name.

    A JPEG keeps its own tables and the way it is turned: values of pixels move by next to nothing.
    """
    file = BytesIO()
    if image.format == "JPEG":
        exif = Image.Exif()
        exif[ORIENTATION] = orientation(image)
        image.save(file, "JPEG", quality="keep", exif=exif, icc_profile=b"", comment=b"")
        return file.getvalue(), ".jpg"
    seen = as_seen(image)
    seen.info = {}
    if image.format in LOSSY:
        seen.save(file, "JPEG", quality=QUALITY, subsampling=0)
        return file.getvalue(), ".jpg"
    seen.save(file, "PNG", compress_level=1)
    return file.getvalue(), ".png"


Outcome = Skipped | tuple[str, bool]
"""What became of a file: the path of its picture below the folder, and whether only its first frame is used."""


def _read_ahead(incoming: Iterable[Incoming], folder: Path) -> Generator[tuple[float, str, Outcome], None, None]:
    """Share, name and outcome of every file in order; some are decoded while the next ones are read."""
    waiting: list[tuple[float, str, Future[Outcome]]] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        for number, one in enumerate(incoming):
            if isinstance(one, Skipped):
                yield 0.0, one.name, one
                continue
            content = _content(one)
            if isinstance(content, Skipped):
                yield one.share, one.name, content
                continue
            file = f"{number // FOLDER_SIZE:04}/{number:06}"
            waiting.append((one.share, one.name, threads.submit(_store, one.name, content, folder, file)))
            if len(waiting) >= AHEAD:
                share, name, outcome = waiting.pop(0)
                yield share, name, outcome.result()
        for share, name, outcome in waiting:
            yield share, name, outcome.result()


def _content(member: Member) -> bytes | Skipped:
    if suffix(member.name) not in IMAGE_SUFFIXES:
        return skipped(member.name, Message("its name is not that of a picture, such as .jpg or .png"))
    try:
        content = member.read()
    except Unreadable as error:
        return skipped(member.name, error.reason)
    allowed = settings()
    if len(content) > allowed.max_file_mb * 1_000_000:
        return skipped(member.name, file_too_large(allowed))
    return content


def _store(name: str, content: bytes, folder: Path, file: str) -> Outcome:
    """Write a picture under `file` with its suffix."""
    if content.startswith(b"\xff\xd8") and content.count(SCAN) > SCANS:
        return skipped(name, Message("it is a JPEG of more than {most} scans; save it again", most=SCANS))
    try:
        with open_image(content, name) as image, _alone_if_large(image):
            image.load()
            cleaned, ending = strip_metadata(image)
            animated = is_animated(image)
    except BadImage as error:
        return skipped(name, image_fault(error))
    path = folder / f"{file}{ending}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(cleaned)
    return f"{file}{ending}", animated


def _alone_if_large(image: Image.Image) -> AbstractContextManager[object]:
    return _large if image.width * image.height > LARGE else nullcontext()


def _require_pictures(pictures: list[IndexEntry], left_out: list[Skipped]) -> None:
    """Raises BadData when there is none, or too many classes of them."""
    classes = len({entry.label for entry in pictures})
    if classes > settings().max_classes:
        raise too_many_classes(classes)
    if pictures:
        return
    if not left_out:
        raise BadData("There are no pictures in it. Put them into one folder per class, such as cats/ and dogs/.")
    template = "No picture in it can be used. The first of {count:,}: {name}: {reason}."
    raise BadData(template, count=len(left_out), name=left_out[0].name, reason=left_out[0].reason)


@contextmanager
def _staging(parent: Path, token: str) -> Iterator[Path]:
    """A new folder in `parent` for the import with that token, gone at the end unless it was moved away."""
    folder = parent / f"{STAGING}{token}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _with(data: DataSet, stored: StoredPictures) -> DataSet:
    """The record once `stored` is in."""
    left_out = (*data.skipped, *stored.skipped)
    more = data.more_skipped + max(0, len(left_out) - LISTED)
    return replace(data, skipped=left_out[:LISTED], more_skipped=more, notices=(*data.notices, *stored.notices))
