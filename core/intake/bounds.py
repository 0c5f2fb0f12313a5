"""What bounds an archive, whatever its kind: sentences about limits, and a file that counts what is read of it."""

from typing import IO, Protocol

from core.data.limits import Limits
from core.data.names import PACKED_SUFFIXES, fault, suffix
from core.errors import BadData

SMALL = 10_000_000
"""Bytes below which nobody asks how well an archive was packed: an even picture packs well."""
CHUNK = 1 << 16


class Readable(Protocol):
    """What gives bytes, some of them or none at its end."""

    def read(self, size: int, /) -> bytes: ...


class Counted:
    """The unpacked bytes of `file`, read forwards only and within the limits; `packed` is the file that it unpacks."""

    def __init__(self, file: Readable, packed: IO[bytes], name: str, allowed: Limits) -> None:
        self._file, self._packed, self._name, self._allowed = file, packed, name, allowed
        self._position = 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes. Raises BadData beyond the limits."""
        content = self._file.read(size)
        self._position += len(content)
        if self._position > self._allowed.unpacked_mb * 1_000_000:
            raise too_large(self._name, self._allowed)
        if self._position > SMALL and self._position > self._allowed.ratio * max(self._packed.tell(), 1):
            raise BadData(f"{self._name} unpacks to more than {self._allowed.ratio} times its size; pack it anew.")
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
    return fault(name)


SPECIAL = "it is a link or a device, not a file"


def over(allowed: Limits) -> str:
    """Why one file is refused for its size."""
    return f"it has more than {allowed.file_mb} MB (the setting THAW_MAX_FILE_MB)"


def damaged(name: str, why: object) -> BadData:
    """An archive that cannot be read, or not to its end."""
    return BadData(f"{name} is damaged, or no zip or tar archive ({why}); pack it anew.")


def too_many(name: str, allowed: Limits) -> BadData:
    """An archive of too many files."""
    return BadData(f"{name} holds more than {allowed.files:,} files (the setting THAW_MAX_FILES); leave some out.")


def too_large(name: str, allowed: Limits) -> BadData:
    """An archive of too many bytes."""
    return BadData(
        f"{name} unpacks to more than {allowed.unpacked_mb:,} MB (the setting THAW_MAX_UNPACKED_MB); leave some out."
    )
