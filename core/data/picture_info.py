"""What is known of each picture: its hash, its size, whether it decodes, what it looks like. It is found out once."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import imagehash

from core.data.images import as_seen, is_animated, open_image
from core.errors import BadImage
from core.events import Progress

Value = TypeVar("Value", bound=object)
Remembered = dict[str, tuple[int, int, Value]]
"""Size in bytes, time of the last change in nanoseconds, and what was found out, as JSON has it; by path."""

SETTLED = 2 * 10**9
"""Nanoseconds after a change before a file's time stamp is relied on: clocks of file systems tick as slowly as that."""
AT_ONCE = 50
"""Files that are read between two events."""


def remember(
    paths: Sequence[Path], memo: Path, find_out: Callable[[Path], Value], stage: str
) -> Generator[Progress, None, dict[Path, Value]]:
    """What `find_out`, which runs in threads, says of each file; out of `memo`, a file, for those it still knows.

    However it ends, what was found out by then is in `memo`. Raises BadImage for a file that is not there, what
    `find_out` raises, and OSError when `memo` cannot be written.
    """
    known: Remembered[Value] = _read(memo)
    now = time.time_ns()
    stamps = {path: _stamp(path) for path in paths}
    found = {path: known[str(path)][2] for path in paths if known.get(str(path), ())[:2] == stamps[path]}
    fresh = [path for path in stamps if path not in found]
    try:
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
            for start in range(0, len(fresh), AT_ONCE):
                yield Progress(stage, start, len(fresh))
                few = fresh[start : start + AT_ONCE]
                found |= zip(few, threads.map(find_out, few), strict=True)
    finally:
        settled = {
            str(path): (*stamps[path], value) for path, value in found.items() if now - stamps[path][1] > SETTLED
        }
        if settled != known:
            _write(settled, memo)
    return found


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise BadImage(f"{path} cannot be read ({error.strerror}); put it back, or train without it.") from error
    return status.st_size, status.st_mtime_ns


def _read(memo: Path) -> Remembered[Value]:
    """What was written; nothing when that is missing or damaged, for it can be found out again."""
    try:
        return {name: (size, at, value) for name, (size, at, value) in json.loads(memo.read_bytes()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write(known: Remembered[Value], memo: Path) -> None:
    memo.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=memo.parent, prefix=memo.name, suffix=".partial")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(known, file)
    Path(partial).replace(memo)


def hashes_of(paths: Sequence[Path], memo: Path) -> Generator[Progress, None, dict[Path, str]]:
    """SHA-256 of each file, in hexadecimal; `memo` remembers them (`core.data.picture_info`).

    Raises BadImage for a file that cannot be read, OSError when `memo` cannot be written.
    """
    return (yield from remember(paths, memo, file_hash, "Reading pictures"))


def file_hash(path: Path) -> str:
    """SHA-256 of one file. Raises BadImage."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadImage(f"{path} cannot be read ({error.strerror}); put it back, or train without it.") from error


HASH_SIDE = 16
"""16 × 16 bits tell handwritten digits apart; imagehash's usual 8 × 8 do not."""


@dataclass(frozen=True)
class PictureInfo:
    """`width` × `height` pixels as seen; `content` is the SHA-256 of the file; `animated`: of several pictures,
    the first is used.

    `look` is the difference hash (imagehash.dhash) of HASH_SIDE² bits in hexadecimal: few bits differ between pictures
    that look the same. `problem` says why it cannot be used; sizes are 0 then.
    """

    width: int
    height: int
    content: str
    look: str
    animated: bool
    problem: str | None


def infos_of(paths: Sequence[Path], memo: Path) -> Generator[Progress, None, dict[Path, PictureInfo]]:
    """The facts of each picture; `memo` remembers them. Raises BadImage for a file that is not there any more."""
    found = yield from remember(paths, memo, _found_out, "Looking at every picture")
    return {path: PictureInfo(**values) for path, values in found.items()}


def _found_out(path: Path) -> dict[str, Any]:
    return asdict(picture_info(path))


def picture_info(path: Path) -> PictureInfo:
    """The facts of one picture. Raises BadImage when its file cannot be read at all."""
    content = file_hash(path)
    try:
        with open_image(path) as image:
            image.load()
            seen = as_seen(image)
            look = str(imagehash.dhash(seen, HASH_SIDE))
            return PictureInfo(*seen.size, content, look, is_animated(image), None)
    except BadImage as error:
        return PictureInfo(0, 0, content, "", False, str(error).removeprefix(f"{path} ").rstrip("."))
