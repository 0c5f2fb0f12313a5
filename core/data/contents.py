"""What files hold, as hashes; a file that has not changed since is not read again."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from core.errors import BadImage

Known = dict[str, tuple[int, int, str]]
"""Size in bytes, time of the last change in nanoseconds, and hash, by path."""

SETTLED = 2 * 10**9
"""Nanoseconds after a change before a file's time stamp is relied on: clocks of file systems tick as slowly as that."""


def contents_of(paths: Sequence[Path], memo: Path) -> dict[Path, str]:
    """SHA-256 of each file, in hexadecimal. Size and time of change tell whether `memo`, a file, still knows it.

    Raises BadImage for a file that cannot be read, OSError when `memo` cannot be written.
    """
    known = _read(memo)
    now = time.time_ns()
    found: Known = {}
    settled: Known = {}
    for path in paths:
        name, entry = str(path), _look(path, known)
        found[name] = entry
        if now - entry[1] > SETTLED:
            settled[name] = entry
    if settled != known:
        _write(settled, memo)
    return {path: found[str(path)][2] for path in paths}


def _look(path: Path, known: Known) -> tuple[int, int, str]:
    try:
        status = path.stat()
        size, changed = status.st_size, status.st_mtime_ns
        before = known.get(str(path))
        if before and (before[0], before[1]) == (size, changed):
            return before
        return size, changed, hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadImage(f"{path} cannot be read ({error.strerror}); put it back, or train without it.") from error


def _read(memo: Path) -> Known:
    """What was written; nothing when that is missing or damaged, for it can be found out again."""
    try:
        return {name: (size, at, digest) for name, (size, at, digest) in json.loads(memo.read_bytes()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write(known: Known, memo: Path) -> None:
    memo.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=memo.parent, prefix=memo.name, suffix=".partial")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(known, file)
    Path(partial).replace(memo)
