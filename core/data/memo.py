"""Remember what was found out about files; one that has not changed since, by size and time, is not read again."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from core.errors import BadImage
from core.events import Progress

Value = TypeVar("Value", bound=object)
Known = dict[str, tuple[int, int, Value]]
"""Size in bytes, time of the last change in nanoseconds, and what was found out, as JSON has it; by path."""

SETTLED = 2 * 10**9
"""Nanoseconds after a change before a file's time stamp is relied on: clocks of file systems tick as slowly as that."""
FEW = 50
"""Files that are read between two events."""


def recall(
    paths: Sequence[Path], memo: Path, find_out: Callable[[Path], Value], stage: str
) -> Generator[Progress, None, dict[Path, Value]]:
    """What `find_out`, which runs in threads, says of each file; out of `memo`, a file, for those it still knows.

    However it ends, what was found out by then is in `memo`. Raises BadImage for a file that is not there, what
    `find_out` raises, and OSError when `memo` cannot be written.
    """
    known: Known[Value] = _read(memo)
    now = time.time_ns()
    stamps = {path: _stamp(path) for path in paths}
    found = {path: known[str(path)][2] for path in paths if known.get(str(path), ())[:2] == stamps[path]}
    fresh = [path for path in stamps if path not in found]
    try:
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
            for start in range(0, len(fresh), FEW):
                yield Progress(stage, start, len(fresh))
                few = fresh[start : start + FEW]
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


def _read(memo: Path) -> Known[Value]:
    """What was written; nothing when that is missing or damaged, for it can be found out again."""
    try:
        return {name: (size, at, value) for name, (size, at, value) in json.loads(memo.read_bytes()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write(known: Known[Value], memo: Path) -> None:
    memo.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=memo.parent, prefix=memo.name, suffix=".partial")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(known, file)
    Path(partial).replace(memo)
