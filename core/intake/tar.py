"""The members of a tar archive, packed by gzip, bzip2, xz or not at all.

Python's `tarfile` reads single headers here, and no more. As a reader of whole archives it takes any amount of memory
and time for headers about headers (such as CVE-2024-6232), and it takes a damaged header for the end.
"""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from core.data.structure import is_leftover
from core.errors import BadData
from core.intake.archive import (
    CHUNK,
    SPECIAL,
    ArchiveReader,
    Incoming,
    Member,
    Readable,
    damaged,
    file_too_large,
    name_fault,
    skipped,
    too_many,
)
from core.messages import Message
from core.settings import Settings

BLOCK = tarfile.BLOCKSIZE
LONGEST = 1 << 16
"""Most bytes of a header about a header: it holds a long name, and what else some programs write."""
MEMORY = 200_000_000
"""Bytes for unpacking xz: its highest ordinary level takes 65 MB."""
MALFORMED = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError)
PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")


@dataclass(frozen=True)
class _Header:
    name: str
    size: int
    kind: bytes


def is_tar(start: bytes) -> bool:
    """Whether a file that begins so is a tar archive, or a packed file that may be one."""
    return start.startswith(PACKED) or start[257:262] == b"ustar"


def tar_members(file: IO[bytes], name: str, size: int, allowed: Settings) -> Iterator[Incoming]:
    """All members, in their order. Raises BadData when the archive is damaged, or over a limit."""
    content = ArchiveReader(_unpacked(file), file, name, allowed)
    try:
        number = 0
        while header := _next(content, name):
            number += 1
            if number > allowed.max_files:
                raise too_many(name, allowed)
            yield from _member(header, content, file.tell() / size, name, allowed)
        while content.read(CHUNK):
            pass  # A checksum at the end says whether all was unpacked as it was packed.
        if not number:
            raise BadData("{name} is empty; it holds no pictures.", name=name)
    except MALFORMED as error:
        raise damaged(name, error) from error


def _member(header: _Header, content: ArchiveReader, share: float, name: str, allowed: Settings) -> Iterator[Incoming]:
    left = header.size + -header.size % BLOCK
    reason = name_fault(header.name, allowed)
    if header.kind not in (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE):
        reason = reason or SPECIAL
    elif header.size > allowed.max_file_mb * 1_000_000:
        reason = reason or file_too_large(allowed)
    if header.kind != tarfile.DIRTYPE and not is_leftover(header.name.split("/")):
        if reason:
            yield skipped(header.name, reason)
        else:
            picture = _exactly(content, header.size, name)
            left -= header.size
            yield Member(header.name, lambda: picture, share)
    content.skip(left)


def _exactly(content: ArchiveReader, size: int, name: str) -> bytes:
    try:
        return content.exactly(size)
    except MALFORMED as error:
        raise damaged(name, error) from error


def _next(content: ArchiveReader, name: str) -> _Header | None:
    """The next member's header, with what extended headers before it say of it; None at the end."""
    extended: dict[str, str] = {}
    while block := content.read(BLOCK):
        block += content.exactly(BLOCK - len(block))
        if not any(block):
            return None
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if header.type in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            if not 0 <= header.size <= LONGEST:
                raise damaged(name, Message("a header in it is too long"))
            about = content.exactly(header.size)
            content.skip(-header.size % BLOCK)
            if header.type == tarfile.XHDTYPE:
                extended |= _records(about, name)
            if header.type == tarfile.GNUTYPE_LONGNAME:
                extended["path"] = about.rstrip(b"\0").decode("utf-8", "surrogateescape")
            continue
        size = int(extended.get("size", header.size))
        if size < 0:
            raise damaged(name, Message("a size in it is below zero"))
        is_sparse = any(key.startswith("GNU.sparse") for key in extended)
        return _Header(extended.get("path", header.name), size, tarfile.GNUTYPE_SPARSE if is_sparse else header.type)
    return None


def _records(about: bytes, name: str) -> dict[str, str]:
    """The records "LENGTH KEY=VALUE\\n" of a pax header (POSIX.1-2001, pax, "Extended Header")."""
    records: dict[str, str] = {}
    while about.strip(b"\0"):
        digits = about[:6].split(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        if not len(digits) + 3 <= length <= len(about):
            raise damaged(name, Message("a header in it is malformed"))
        key, _, value = about[len(digits) + 1 : length - 1].decode("utf-8", "surrogateescape").partition("=")
        records[key] = value
        about = about[length:]
    return records


def _unpacked(file: IO[bytes]) -> Readable:
    file.seek(0)
    start = file.read(6)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if start.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if start.startswith(b"\xfd7zXZ"):
        return _Xz(file)
    return file


class _Xz:
    """A file that unpacks xz within MEMORY, which `lzma.LZMAFile` cannot be asked for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, MEMORY)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end. Raises LZMAError, or EOFError when it comes too early."""
        while not self._unpacker.eof:
            more = self._file.read(CHUNK) if self._unpacker.needs_input else b""
            if self._unpacker.needs_input and not more:
                raise EOFError("it ends too early")
            if content := self._unpacker.decompress(more, size):
                return content
        return b""
