"""What comes in from outside, one file after the other: from an archive, a browser, a data set. And what bounds it."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from core.data.datasets import Skipped
from core.data.structure import PACKED_SUFFIXES, is_leftover, path_fault, printable, suffix
from core.errors import BadData
from core.settings import Settings, settings


@dataclass(frozen=True)
class Member:
    """One file. `name` is its path as a person would write it ("cats/1.jpg"); `share` of all that comes is behind it.

    `read` gives its bytes, for as long as it is the newest member; it raises Unreadable.
    """

    name: str
    read: Callable[[], bytes]
    share: float


class Unreadable(Exception):
    """The bytes of one member cannot be had, or are no picture; the text says why. It becomes a Skipped."""


Incoming = Member | Skipped


SMALL = 10_000_000
"""Bytes below which nobody asks how well an archive was packed: an even picture packs well."""
CHUNK = 1 << 16


class Readable(Protocol):
    """What gives bytes, some of them or none at its end."""

    def read(self, size: int, /) -> bytes: ...


class ArchiveReader:
    """The unpacked bytes of `file`, read forwards only and within the limits; `packed` is the file that it unpacks."""

    def __init__(self, file: Readable, packed: IO[bytes], name: str, allowed: Settings) -> None:
        self._file, self._packed, self._name, self._allowed = file, packed, name, allowed
        self._position = 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes. Raises BadData beyond the limits."""
        content = self._file.read(size)
        self._position += len(content)
        if self._position > self._allowed.max_unpacked_mb * 1_000_000:
            raise too_large(self._name, self._allowed)
        if self._position > SMALL and self._position > self._allowed.max_ratio * max(self._packed.tell(), 1):
            raise BadData(f"{self._name} unpacks to more than {self._allowed.max_ratio} times its size; pack it anew.")
        return content

    def exactly(self, size: int) -> bytes:
        """`size` bytes. Raises BadData when there are fewer, or beyond the limits."""
        parts: list[bytes] = []
        while size:
            part = self.read(min(size, CHUNK))
            if not part:
                raise damaged(self._name, "it ends too early")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Pass over `size` bytes, in pieces. Raises BadData like `exactly`."""
        while size:
            size -= len(self.exactly(min(size, CHUNK)))


def name_fault(name: str) -> str | None:
    """Why a member is refused for its name."""
    if suffix(name) in PACKED_SUFFIXES:
        return "it is an archive inside the archive; unpack it first"
    return path_fault(name)


SPECIAL = "it is a link or a device, not a file"


def too_large_sentence(allowed: Settings) -> str:
    """Why one file is refused for its size."""
    return f"it has more than {allowed.max_file_mb} MB (the setting THAW_MAX_FILE_MB)"


def damaged(name: str, why: object) -> BadData:
    """An archive that cannot be read, or not to its end."""
    return BadData(f"{name} is damaged, or no zip or tar archive ({why}); pack it anew.")


def too_many(name: str, allowed: Settings) -> BadData:
    """An archive of too many files."""
    return BadData(f"{name} holds more than {allowed.max_files:,} files (the setting THAW_MAX_FILES); leave some out.")


def too_large(name: str, allowed: Settings) -> BadData:
    """An archive of too many bytes."""
    return BadData(
        f"{name} unpacks to more than {allowed.max_unpacked_mb:,} MB (the setting THAW_MAX_UNPACKED_MB); "
        "leave some out."
    )


UPLOAD_NAMES = "names.json"


def store_upload(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Keep files, each with the path that the person knows it by ("cats/1.jpg"), in `folder`, which is made."""
    folder.mkdir(parents=True)
    names: list[str] = []
    for number, (name, content) in enumerate(files):
        (folder / str(number)).write_bytes(content)
        names.append(name)
    (folder / UPLOAD_NAMES).write_text(json.dumps(names), encoding="utf-8")


def upload_members(folder: Path) -> Iterator[Incoming]:
    """All that was `put` into `folder`. Raises BadData when there are more files than are allowed."""
    names: list[str] = json.loads((folder / UPLOAD_NAMES).read_bytes())
    if len(names) > settings().max_files:
        raise BadData(
            f"These are {len(names):,} files; {settings().max_files:,} are allowed (the setting THAW_MAX_FILES)."
        )
    for number, name in enumerate(names):
        if is_leftover(name.split("/")):
            continue
        if reason := path_fault(name):
            yield Skipped(printable(name), reason)
        else:
            yield Member(name, (folder / str(number)).read_bytes, (number + 1) / len(names))
