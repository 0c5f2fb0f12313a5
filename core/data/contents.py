"""What files hold, as hashes."""

import hashlib
from collections.abc import Generator, Sequence
from pathlib import Path

from core.data.memo import recall
from core.errors import BadImage
from core.events import Progress


def contents_of(paths: Sequence[Path], memo: Path) -> Generator[Progress, None, dict[Path, str]]:
    """SHA-256 of each file, in hexadecimal; `memo` remembers them (`core.data.memo`).

    Raises BadImage for a file that cannot be read, OSError when `memo` cannot be written.
    """
    return (yield from recall(paths, memo, content_of, "Reading pictures"))


def content_of(path: Path) -> str:
    """SHA-256 of one file. Raises BadImage."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadImage(f"{path} cannot be read ({error.strerror}); put it back, or train without it.") from error
