"""Take pictures in: a new data set, or more pictures for an old one.

Each file is decoded, written anew so that it holds its picture only, and put under a name of our own into a folder
aside. That folder is moved into place at the end, so that whatever ends an import leaves nothing behind.
"""

import os
import shutil
import threading
import time
import zipfile
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path

from filelock import FileLock
from PIL import Image

from core import files
from core.data import datasets
from core.data.datasets import DataSet, IndexEntry, Skipped
from core.data.images import ORIENTATION, as_seen, is_animated, open_image, orientation
from core.data.structure import IMAGE_SUFFIXES, Placement, placements, printable, suffix, warn_case_only, warn_merged
from core.errors import BadData, BadImage
from core.events import Progress
from core.intake.archive import Incoming, Member, Unreadable, damaged
from core.intake.tar import is_tar, tar_members
from core.intake.zip import zip_members
from core.settings import settings

FOLDER_SIZE = 1000
"""Files in one folder at the most: file systems and file managers are slow with more."""
AHEAD = 2 * (os.cpu_count() or 1)
"""Files that are in memory at once."""
STAGE = "Reading pictures"
FINE = 1000
"""Units of progress: parts of the whole."""


SCAN, SCANS = b"\xff\xda", 100
"""What begins a JPEG's scan, and how many it may have: each takes the time of the whole picture. Usual are up to 10."""
LARGE = 10_000_000
"""Pixels above which a picture is decoded while no other such one is: it takes hundreds of megabytes."""
_large = threading.Lock()


@dataclass(frozen=True)
class StoredPictures:
    """All that was taken in, what was not, and sentences about the whole."""

    pictures: tuple[IndexEntry, ...]
    skipped: tuple[Skipped, ...]
    notices: tuple[str, ...]


def store_pictures(incoming: Iterable[Incoming], folder: Path) -> Generator[Progress, None, StoredPictures]:
    """Put all pictures that come into `folder`, which is made where it is not there; says how far it is.

    Raises BadData when there are more than is allowed; what the source raises; OSError when the disk is full.
    """
    stored: list[str] = []
    names: list[str] = []
    skipped: list[Skipped] = []
    animations = written = 0
    for share, name, result in _read_ahead(incoming, folder):
        if isinstance(result, Skipped):
            skipped.append(result)
        else:
            file, animated = result
            stored.append(file)
            names.append(name)
            animations += animated
            written += (folder / file).stat().st_size
            if written > settings().max_unpacked_mb * 1_000_000:
                raise BadData(
                    f"The pictures take more than {settings().max_unpacked_mb:,} MB (the setting THAW_MAX_UNPACKED_MB)."
                )
        yield Progress(STAGE, round(share * FINE), FINE)
    pictures: list[IndexEntry] = []
    for file, name, place in zip(stored, names, placements(names), strict=True):
        if isinstance(place, Placement):
            pictures.append(IndexEntry(file, printable(name), place.label, place.part))
        else:
            skipped.append(Skipped(printable(name), place))
            (folder / file).unlink()
    labels = {taken.label for taken in pictures}
    if len(labels) > settings().max_classes:
        raise BadData(f"There are {len(labels):,} classes; {settings().max_classes:,} are allowed (THAW_MAX_CLASSES).")
    notices = [*warn_case_only(labels), *warn_merged(names)]
    if animations:
        notices.append(f"{animations:,} animations or files of several pages: only their first picture is used.")
    return StoredPictures(tuple(pictures), tuple(skipped), tuple(notices))


def _read_ahead(incoming: Iterable[Incoming], folder: Path) -> Iterator[tuple[float, str, Skipped | tuple[str, bool]]]:
    """Share, name and outcome of every file in order; some are decoded while the next ones are read."""
    waiting: list[tuple[float, str, Future[Skipped | tuple[str, bool]]]] = []
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
            waiting.append((one.share, one.name, threads.submit(_keep, one.name, content, folder, file)))
            if len(waiting) >= AHEAD:
                share, name, outcome = waiting.pop(0)
                yield share, name, outcome.result()
        for share, name, outcome in waiting:
            yield share, name, outcome.result()


def _alone_if_large(image: Image.Image) -> AbstractContextManager[object]:
    return _large if image.width * image.height > LARGE else nullcontext()


def _content(member: Member) -> bytes | Skipped:
    if suffix(member.name) not in IMAGE_SUFFIXES:
        return Skipped(printable(member.name), "its name is not that of a picture, such as .jpg or .png")
    try:
        content = member.read()
    except Unreadable as error:
        return Skipped(printable(member.name), str(error))
    if len(content) > settings().max_file_mb * 1_000_000:
        return Skipped(
            printable(member.name), f"it has more than {settings().max_file_mb} MB (the setting THAW_MAX_FILE_MB)"
        )
    return content


def _keep(name: str, content: bytes, folder: Path, file: str) -> Skipped | tuple[str, bool]:
    """Write a picture under `file` with its suffix; returns that, and whether only its first frame is used."""
    if content.startswith(b"\xff\xd8") and content.count(SCAN) > SCANS:
        return Skipped(printable(name), f"it is a JPEG of more than {SCANS} scans; save it again")
    try:
        with open_image(content, name) as image, _alone_if_large(image):
            image.load()
            cleaned, ending = strip_metadata(image)
            animated = is_animated(image)
    except BadImage as error:
        return Skipped(printable(name), str(error).removeprefix(f"{name} ").rstrip("."))
    path = folder / f"{file}{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cleaned)
    return f"{file}{ending}", animated


STAGING = ".staging-"
"""How the names of folders begin in which something is coming in."""
LISTED = 1000
"""Skipped files that are kept by name."""


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
        staged = yield from store_pictures(incoming, folder / datasets.PICTURES)
        _demand_some(staged)
        datasets.write_json(folder / datasets.INDEX, {"pictures": _rows(staged)})
        with FileLock(library / datasets.LOCK):
            made = _with(DataSet(target, datasets.free_name(library, name), source, time.time()), staged)
            datasets.write_dataset(replace(made, folder=folder))
            files.move_into_place(folder, target)
    return made


def extend_dataset(data: DataSet, incoming: Iterable[Incoming], token: str) -> Generator[Progress, None, DataSet]:
    """Add more pictures to an imported data set: all that come, or none when anything goes wrong.

    `token` (hexadecimal) is the import's own and names the folder of its pictures: with a token whose pictures are in
    the index already, nothing is imported. Raises BadData when no picture comes, and what `store_pictures` raises.
    """
    if any(entry.file.startswith(f"{token}/") for entry in datasets.read_index(data.folder)):
        return datasets.read_dataset(data.folder)
    with _staging(data.folder, token) as folder:
        staged = yield from store_pictures(incoming, folder)
        _demand_some(staged)
        with FileLock(data.folder / datasets.LOCK):
            known = datasets.read_dataset(data.folder)
            batch = data.folder / datasets.PICTURES / token
            shutil.rmtree(batch, ignore_errors=True)  # Not in the index: left by a process that was killed right here.
            files.move_into_place(folder, batch)
            added = [[f"{token}/{file}", *rest] for file, *rest in _rows(staged)]
            before = [list(asdict(taken).values()) for taken in datasets.read_index(data.folder)]
            datasets.write_json(data.folder / datasets.INDEX, {"pictures": before + added})
            extended = _with(known, staged)
            datasets.write_dataset(extended)
    return extended


def clear_staging(library: Path, token: str) -> None:
    """Delete what a killed process left of the import with that token."""
    for folder in (*library.glob(f"{STAGING}{token}"), *library.glob(f"*/{STAGING}{token}")):
        shutil.rmtree(folder, ignore_errors=True)


def sweep_staging(library: Path, older_than: float) -> None:
    """Delete what was coming in more than `older_than` seconds ago: its process must be gone."""
    for folder in (*library.glob(f"{STAGING}*"), *library.glob(f"*/{STAGING}*")):
        if time.time() - folder.stat().st_mtime > older_than:
            shutil.rmtree(folder, ignore_errors=True)


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


def _with(data: DataSet, staged: StoredPictures) -> DataSet:
    """The record once `staged` is in."""
    skipped = (*data.skipped, *staged.skipped)
    more = data.more_skipped + max(0, len(skipped) - LISTED)
    return replace(data, skipped=skipped[:LISTED], more_skipped=more, notices=(*data.notices, *staged.notices))


def _rows(staged: StoredPictures) -> list[list[str]]:
    return [list(asdict(taken).values()) for taken in staged.pictures]


def _demand_some(staged: StoredPictures) -> None:
    if staged.pictures:
        return
    if not staged.skipped:
        raise BadData("There are no pictures in it. Put them into one folder per class, such as cats/ and dogs/.")
    first = staged.skipped[0]
    raise BadData(f"No picture in it can be used. The first of {len(staged.skipped):,}: {first.name}: {first.reason}.")


LOSSY = frozenset({"MPO", "WEBP", "HEIF", "AVIF"})
"""Formats of photos: as PNG, they would take many times the room."""
QUALITY = 95


def strip_metadata(image: Image.Image) -> tuple[bytes, str]:
    """The bytes of a file to keep for `image`, which was opened and loaded, and the suffix of its name.

    A JPEG is packed by its own tables, and stays turned as it was: values of pixels move by next to nothing.
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


FOREIGN = {b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive"}


def archive_members(path: Path, title: str | None = None) -> Iterator[Incoming]:
    """All that the archive at `path` holds, in its own order, but for what systems leave behind.

    Sentences call it by its `title`, or else by its file's name. Raises BadData when it is no zip or tar archive, is
    damaged, or over a limit.
    """
    allowed = settings()
    name, size = printable(title or path.name), path.stat().st_size
    if size > allowed.max_archive_mb * 1_000_000:
        most = f"{allowed.max_archive_mb:,} MB are allowed (the setting THAW_MAX_ARCHIVE_MB)"
        raise BadData(f"{name} has {size / 1e6:,.0f} MB; {most}.")
    with path.open("rb") as file:
        start = file.read(512)
        if foreign := next((kind for magic, kind in FOREIGN.items() if start.startswith(magic)), None):
            raise BadData(f"{name} is {foreign}, which Thaw does not read; unpack it, and choose the folder or a zip.")
        if is_tar(start):
            yield from tar_members(file, name, size, allowed)
        elif zipfile.is_zipfile(file):
            yield from zip_members(file, name, size, allowed)
        else:
            raise damaged(name, "it begins like neither")
