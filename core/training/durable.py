"""Write a file so that whoever reads it, or a power cut, meets the old one or the new one, whole."""

import os
from collections.abc import Callable
from pathlib import Path


def replace(path: Path, write: Callable[[Path], None]) -> None:
    """Have `write` make the file under another name; put it in the place of `path` once it is on the disk."""
    partial = path.with_name(path.name + ".partial")
    write(partial)
    _flush(partial)
    partial.replace(path)
    if os.name == "posix":  # Windows offers no way to flush a folder.
        _flush(path.parent)


def _flush(path: Path) -> None:
    """Have the operating system put a file's contents, or a folder's list of names, on the disk."""
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
