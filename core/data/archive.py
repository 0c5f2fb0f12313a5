"""What an archive holds, one member after the other, none of it on the disk: zip, and tar with or without gz, bz2, xz.

Nothing is trusted that an archive says of itself: what is really read is counted, and the reading ends at the limits.
"""

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Self

from core.data.incoming import Incoming, Member, Skipped, Unreadable
from core.data.limits import Limits, limits
from core.data.names import PACKED_SUFFIXES, fault, is_rubbish, shown, suffix
from core.errors import BadData

LOCAL_HEADER = 30
"""Bytes of a zip archive before an entry's name and contents."""
HEADERS = 1 << 20
"""Bytes of a tar archive between two members: more than any long name takes."""
SMALL = 10_000_000
"""Bytes below which nobody asks how well an archive was packed: an even picture packs well."""
FOREIGN = {b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive"}
UNPACK = "unpack it, and choose the folder or a zip of it"


def members(path: Path, title: str | None = None) -> Iterator[Incoming]:
    """All that the archive at `path` holds, in its own order, but for what systems leave behind.

    Sentences call it by its `title`, or else by its file's name.

    Raises BadData when it is no archive, or over a limit.
    """
    allowed = limits()
    name, size = shown(title or path.name), path.stat().st_size
    if size > allowed.archive_mb * 1_000_000:
        raise BadData(
            f"{name} has {size / 1e6:,.0f} MB; {allowed.archive_mb:,} MB are allowed (the setting THAW_MAX_ARCHIVE_MB)."
        )
    with path.open("rb") as file:
        start = file.read(8)
        file.seek(0)
        if foreign := next((kind for magic, kind in FOREIGN.items() if start.startswith(magic)), None):
            raise BadData(f"{name} is {foreign}, which Thaw does not read; {UNPACK}.")
        try:
            yield from _zip(file, name, size, allowed) if zipfile.is_zipfile(file) else _tar(file, name, size, allowed)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
            raise BadData(f"{name} is damaged, or no zip or tar archive ({error}); pack it anew.") from error


def _zip(file: IO[bytes], name: str, size: int, allowed: Limits) -> Iterator[Incoming]:
    _demand_few_entries(file, name, size, allowed)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if len(entries) > allowed.files:
            raise _too_many(name, allowed)
        _demand_apart(entries, name)
        if sum(entry.file_size for entry in entries) > allowed.unpacked_mb * 1_000_000:
            raise _too_large(name, allowed)
        for number, entry in enumerate(entries, start=1):
            own = _zip_name(entry)
            if entry.is_dir() or is_rubbish(own.split("/")):
                continue
            if reason := fault(own) or _zip_fault(entry, allowed) or _packed_fault(own):
                yield Skipped(shown(own), reason)
                continue
            yield Member(own, lambda entry=entry: _read_zipped(archive, entry, allowed), number / len(entries))  # type: ignore[misc]


def _demand_few_entries(file: IO[bytes], name: str, size: int, allowed: Limits) -> None:
    """Before `zipfile` makes an object of each: how many bytes does the list of entries take (APPNOTE.TXT, 4.3.16)?"""
    file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    (listed,) = struct.unpack_from("<I", tail, at + 12) if 0 <= at <= len(tail) - 22 else (0,)
    if listed > allowed.files * (46 + 2 * allowed.name + 100):
        raise _too_many(name, allowed)


def _demand_apart(entries: list[zipfile.ZipInfo], name: str) -> None:
    """Entries that share their bytes unpack to any amount (D. Fifield, "A better zip bomb"); honest ones do not."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise BadData(f"{name} is not an honest archive: some of its files overlap. Pack it anew.")
        end = entry.header_offset + LOCAL_HEADER + entry.compress_size


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """The name with what Python cuts off at a zero byte; UTF-8 where it was used without saying so."""
    if not entry.flag_bits & 0x800:
        try:
            return entry.orig_filename.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass  # The old encoding was meant.
    return entry.orig_filename


def _zip_fault(entry: zipfile.ZipInfo, allowed: Limits) -> str | None:
    kind = entry.external_attr >> 28  # The file type of Unix: 8 is a file, 0 where the system has none.
    if kind not in (0, 8):
        return "it is a link or a device, not a file"
    if entry.flag_bits & 1:
        return "it is encrypted; pack it without a password"
    if entry.file_size > allowed.file_mb * 1_000_000:
        return _over(allowed)
    if entry.file_size > SMALL / 10 and entry.file_size > allowed.ratio * max(entry.compress_size, 1):
        return f"it unpacks to more than {allowed.ratio} times its size"
    return None


def _packed_fault(name: str) -> str | None:
    return "it is an archive inside the archive; unpack it first" if suffix(name) in PACKED_SUFFIXES else None


def _read_zipped(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, allowed: Limits) -> bytes:
    try:
        with archive.open(entry) as file:
            return _read(file, allowed)
    except NotImplementedError as error:
        raise Unreadable("it is packed in a way that Python cannot unpack (such as Deflate64); pack it anew") from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError) as error:
        raise Unreadable(f"it is damaged in the archive ({error})") from error


def _read(file: IO[bytes], allowed: Limits) -> bytes:
    content = file.read(allowed.file_mb * 1_000_000 + 1)
    if len(content) > allowed.file_mb * 1_000_000:
        raise Unreadable(_over(allowed))
    return content


class _Counted:
    """The unpacked bytes of a tar archive, read forwards only, up to a `ceiling` that whoever reads moves on."""

    def __init__(self, file: Any, packed: IO[bytes], name: str, allowed: Limits) -> None:
        self._file, self._packed, self._name, self._allowed = file, packed, name, allowed
        self.position = 0
        self.ceiling = HEADERS

    def read(self, size: int) -> bytes:
        content: bytes = self._file.read(size)
        self.position += len(content)
        if self.position > self._allowed.unpacked_mb * 1_000_000:
            raise _too_large(self._name, self._allowed)
        if self.position > SMALL and self.position > self._allowed.ratio * max(self._packed.tell(), 1):
            raise BadData(f"{self._name} unpacks to more than {self._allowed.ratio} times its size; pack it anew.")
        if self.position > self.ceiling:
            raise BadData(f"{self._name} is not an honest archive: a header in it is longer than {HEADERS:,} bytes.")
        return content


class _Header(tarfile.TarInfo):
    """Headers whose damage is an error: by itself, `tarfile` takes one for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            return super().frombuf(buf, encoding, errors)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(str(error)) from error


def _tar(file: IO[bytes], name: str, size: int, allowed: Limits) -> Iterator[Incoming]:
    counted = _Counted(_unpacked(file), file, name, allowed)
    with tarfile.open(fileobj=counted, mode="r|", tarinfo=_Header) as archive:  # type: ignore[call-overload]
        number = 0
        while (entry := archive.next()) is not None:
            number += 1
            if number > allowed.files:
                raise _too_many(name, allowed)
            archive.members = []  # Or it would remember all of them.
            counted.ceiling = counted.position + entry.size + HEADERS
            if entry.isdir() or is_rubbish(entry.name.split("/")):
                continue
            reason = fault(entry.name) or _tar_fault(entry, allowed) or _packed_fault(entry.name)
            if reason:
                yield Skipped(shown(entry.name), reason)
                continue
            yield Member(entry.name, lambda entry=entry: _read_tarred(archive, entry), file.tell() / size)  # type: ignore[misc]
        if not number:
            raise BadData(f"{name} is empty; it holds no pictures.")


def _unpacked(file: IO[bytes]) -> Any:
    file.seek(0)
    start = file.read(6)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if start.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if start.startswith(b"\xfd7zXZ"):
        return lzma.LZMAFile(file)
    return file


def _tar_fault(entry: tarfile.TarInfo, allowed: Limits) -> str | None:
    if not entry.isreg():
        return "it is a link or a device, not a file"
    return _over(allowed) if entry.size > allowed.file_mb * 1_000_000 else None


def _read_tarred(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(entry)
    if file is None:
        raise Unreadable("it is no file")
    return file.read()


def _over(allowed: Limits) -> str:
    return f"it has more than {allowed.file_mb} MB (the setting THAW_MAX_FILE_MB)"


def _too_many(name: str, allowed: Limits) -> BadData:
    return BadData(f"{name} holds more than {allowed.files:,} files (the setting THAW_MAX_FILES); leave some out.")


def _too_large(name: str, allowed: Limits) -> BadData:
    return BadData(
        f"{name} unpacks to more than {allowed.unpacked_mb:,} MB (the setting THAW_MAX_UNPACKED_MB); leave some out."
    )
