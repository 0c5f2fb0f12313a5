"""What comes in from outside, one file after the other: from an archive, a browser, a data set. And what bounds it."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from core import files
from core.data.datasets import Skipped
from core.data.structure import PACKED_SUFFIXES, is_leftover, path_fault, short_name, suffix
from core.errors import BadData
from core.messages import Message
from core.settings import Settings, settings

SMALL = 10_000_000
"""Bytes below which nobody asks how well an archive was packed: an even picture packs well."""
CHUNK = 1 << 16
"""Bytes that are read at once."""
SPECIAL = Message("it is a link or a device, not a file")
UPLOAD_NAMES = "names.json"


@dataclass(frozen=True)
class Member:
    """One file. `name` is its path as a person would write it ("cats/1.jpg"); `share` of all that comes is behind it.

    `read` gives its bytes, for as long as it is the newest member; it raises Unreadable.
    """

    name: str
    read: Callable[[], bytes]
    share: float


class Unreadable(Exception):
    """The bytes of one member cannot be had, or are no picture; `reason` says why. It becomes a Skipped."""

    def __init__(self, reason: Message) -> None:
        self.reason = reason
        super().__init__(str(reason))


Incoming = Member | Skipped


def skipped(name: str, reason: Message) -> Skipped:
    """A file that is left out, under a name that is fit to be kept and shown."""
    return Skipped(short_name(name), reason)


def store_upload(folder: Path, uploaded: Iterable[tuple[str, bytes]]) -> None:
    """Keep files, each with the path that the person knows it by ("cats/1.jpg"), in `folder`, which is made."""
    folder.mkdir(parents=True)
    names: list[str] = []
    for number, (name, content) in enumerate(uploaded):
        (folder / str(number)).write_bytes(content)
        names.append(name)
    files.write_json(folder / UPLOAD_NAMES, names)


def upload_members(folder: Path) -> Iterator[Incoming]:
    """All that `store_upload` put into `folder`. Raises BadData when there are more files than are allowed."""
    names: list[str] = json.loads((folder / UPLOAD_NAMES).read_bytes())
    allowed = settings()
    if len(names) > allowed.max_files:
        template = "These are {found:,} files; {most:,} are allowed (the setting THAW_MAX_FILES)."
        raise BadData(template, found=len(names), most=allowed.max_files)
    for number, name in enumerate(names):
        if is_leftover(name.split("/")):
            continue
        if reason := path_fault(name, allowed):
            yield skipped(name, reason)
        else:
            yield Member(name, (folder / str(number)).read_bytes, (number + 1) / len(names))


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
            template = "{name} unpacks to more than {ratio} times its size; pack it anew."
            raise BadData(template, name=self._name, ratio=self._allowed.max_ratio)
        return content

    def exactly(self, size: int) -> bytes:
        """`size` bytes. Raises BadData when there are fewer, or beyond the limits."""
        pieces: list[bytes] = []
        while size:
            piece = self.read(min(size, CHUNK))
            if not piece:
                raise damaged(self._name, Message("it ends too early"))
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        """Pass over `size` bytes, in pieces. Raises BadData like `exactly`."""
        while size:
            size -= len(self.exactly(min(size, CHUNK)))


def name_fault(name: str, allowed: Settings) -> Message | None:
    """Why a member is refused for its name; None for one that is not."""
    if suffix(name) in PACKED_SUFFIXES:
        return Message("it is an archive inside the archive; unpack it first")
    return path_fault(name, allowed)


def file_too_large(allowed: Settings) -> Message:
    """Why one file is refused for its size."""
    return Message("it has more than {most} MB (the setting THAW_MAX_FILE_MB)", most=allowed.max_file_mb)


def damaged(name: str, cause: Message | Exception) -> BadData:
    """The error about an archive that cannot be read, or not to its end."""
    said = cause if isinstance(cause, Message) else str(cause)
    return BadData("{name} is damaged, or no zip or tar archive ({cause}); pack it anew.", name=name, cause=said)


def demand_small(size: int, name: str, allowed: Settings) -> None:
    """Raises BadData for an archive of more bytes than are allowed."""
    if size > allowed.max_archive_mb * 1_000_000:
        template = "{name} has {size:,.0f} MB; {most:,} MB are allowed (the setting THAW_MAX_ARCHIVE_MB)."
        raise BadData(template, name=name, size=size / 1e6, most=allowed.max_archive_mb)


def too_many(name: str, allowed: Settings) -> BadData:
    """The error about an archive of too many files."""
    template = "{name} holds more than {most:,} files (the setting THAW_MAX_FILES); leave some out."
    return BadData(template, name=name, most=allowed.max_files)


def too_large(name: str, allowed: Settings) -> BadData:
    """The error about an archive of too many bytes."""
    template = "{name} unpacks to more than {most:,} MB (the setting THAW_MAX_UNPACKED_MB); leave some out."
    return BadData(template, name=name, most=allowed.max_unpacked_mb)
