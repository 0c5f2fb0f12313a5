"""Take pictures in: each file is decoded, made to say nothing but its picture, and put under a name of our own."""

import os
import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from core.data.decode import is_animated, opened
from core.data.layout import Place, alike, merged, places
from core.data.limits import limits
from core.data.names import IMAGE_SUFFIXES, shown, suffix
from core.data.stored import Skipped, Taken
from core.errors import BadData, BadImage
from core.events import Progress
from core.intake.incoming import Incoming, Member, Unreadable
from core.intake.privacy import kept

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
class Staged:
    """All that was taken in, what was not, and sentences about the whole."""

    pictures: tuple[Taken, ...]
    skipped: tuple[Skipped, ...]
    notices: tuple[str, ...]


def stage(incoming: Iterable[Incoming], folder: Path) -> Generator[Progress, None, Staged]:
    """Put all pictures that come into `folder`, which is made here; says how far it is.

    Raises BadData when there are more than is allowed; what the source raises; OSError when the disk is full.
    """
    files: list[str] = []
    names: list[str] = []
    skipped: list[Skipped] = []
    animations = written = 0
    for share, name, result in _read_ahead(incoming, folder):
        if isinstance(result, Skipped):
            skipped.append(result)
        else:
            file, animated = result
            files.append(file)
            names.append(name)
            animations += animated
            written += (folder / file).stat().st_size
            if written > limits().unpacked_mb * 1_000_000:
                raise BadData(
                    f"The pictures take more than {limits().unpacked_mb:,} MB (the setting THAW_MAX_UNPACKED_MB)."
                )
        yield Progress(STAGE, round(share * FINE), FINE)
    pictures: list[Taken] = []
    for file, name, place in zip(files, names, places(names), strict=True):
        if isinstance(place, Place):
            pictures.append(Taken(file, shown(name), place.label, place.part))
        else:
            skipped.append(Skipped(shown(name), place))
            (folder / file).unlink()
    labels = {taken.label for taken in pictures}
    if len(labels) > limits().classes:
        raise BadData(f"There are {len(labels):,} classes; {limits().classes:,} are allowed (THAW_MAX_CLASSES).")
    notices = [*alike(labels), *merged(names)]
    if animations:
        notices.append(f"{animations:,} animations or files of several pages: only their first picture is used.")
    return Staged(tuple(pictures), tuple(skipped), tuple(notices))


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
        return Skipped(shown(member.name), "its name is not that of a picture, such as .jpg or .png")
    try:
        content = member.read()
    except Unreadable as error:
        return Skipped(shown(member.name), str(error))
    if len(content) > limits().file_mb * 1_000_000:
        return Skipped(shown(member.name), f"it has more than {limits().file_mb} MB (the setting THAW_MAX_FILE_MB)")
    return content


def _keep(name: str, content: bytes, folder: Path, file: str) -> Skipped | tuple[str, bool]:
    """Write a picture under `file` with its suffix; returns that, and whether only its first frame is used."""
    if content.startswith(b"\xff\xd8") and content.count(SCAN) > SCANS:
        return Skipped(shown(name), f"it is a JPEG of more than {SCANS} scans; save it again")
    try:
        with opened(content, name) as image, _alone_if_large(image):
            image.load()
            cleaned, ending = kept(image)
            animated = is_animated(image)
    except BadImage as error:
        return Skipped(shown(name), str(error).removeprefix(f"{name} ").rstrip("."))
    path = folder / f"{file}{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cleaned)
    return f"{file}{ending}", animated
