"""The members of a zip archive.

Only stored and deflated files are unpacked, as every program writes them: `zipfile` sets no bounds for other methods.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from core.data.structure import is_leftover
from core.errors import BadData
from core.intake.archive import (
    SMALL,
    SPECIAL,
    Incoming,
    Member,
    Unreadable,
    damaged,
    file_too_large,
    name_fault,
    skipped,
    too_large,
    too_many,
)
from core.messages import Message
from core.settings import Settings

LOCAL_HEADER = 30
"""Bytes of an archive before an entry's name and contents."""
ENTRY = 46
"""Bytes of an entry in the list at the end, beside its names."""
UNPACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MALFORMED = (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, ValueError, EOFError, IndexError)
"""What `zipfile` raises where an archive is not as it should be."""


def zip_members(file: IO[bytes], name: str, size: int, allowed: Settings) -> Iterator[Incoming]:
    """All members, in their order. Raises BadData when the archive is damaged, dishonest, or over a limit."""
    _demand_few_entries(file, name, size, allowed)
    try:
        archive = zipfile.ZipFile(file)
    except MALFORMED as error:
        raise damaged(name, error) from error
    with archive:
        entries = archive.infolist()
        _demand_honest(entries, name, allowed)
        for number, entry in enumerate(entries, start=1):
            own = _name(entry)
            if own.endswith("/") or is_leftover(own.split("/")):
                continue
            if reason := name_fault(own, allowed) or _fault(entry, allowed):
                yield skipped(own, reason)
            else:
                yield Member(own, lambda entry=entry: _read(archive, entry, allowed), number / len(entries))  # type: ignore[misc]


def _demand_few_entries(file: IO[bytes], name: str, size: int, allowed: Settings) -> None:
    """Refuse a long list of entries before `zipfile` makes an object of each. Raises BadData.

    The end of the file says so (APPNOTE.TXT, 4.3.16), zip64 or not. Honest archives say it once; here every
    place counts that may be taken for it.
    """
    file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read()
    listed = [0]
    for signature, form, field in ((b"PK\5\6", "<I", 12), (b"PK\6\6", "<Q", 40)):
        at = tail.find(signature)
        while 0 <= at <= len(tail) - field - struct.calcsize(form):
            listed += struct.unpack_from(form, tail, at + field)
            at = tail.find(signature, at + 1)
    longest = max(length for length in listed if length != 0xFFFFFFFF)  # Which says: look into the zip64 record.
    if size >= longest > allowed.max_files * (ENTRY + 2 * allowed.max_name + 100):
        raise too_many(name, allowed)


def _demand_honest(entries: list[zipfile.ZipInfo], name: str, allowed: Settings) -> None:
    """Entries that share their bytes unpack to any amount (D. Fifield, "A better zip bomb"); honest ones do not."""
    if len(entries) > allowed.max_files:
        raise too_many(name, allowed)
    if sum(entry.file_size for entry in entries) > allowed.max_unpacked_mb * 1_000_000:
        raise too_large(name, allowed)
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise BadData("{name} is not an honest archive: some of its files overlap. Pack it anew.", name=name)
        end = entry.header_offset + LOCAL_HEADER + entry.compress_size


def _name(entry: zipfile.ZipInfo) -> str:
    """The whole name (Python cuts it at a zero byte), read as UTF-8 also where the entry does not say so."""
    if not entry.flag_bits & 0x800:
        try:
            return entry.orig_filename.encode("cp437").decode("utf-8")
        except UnicodeError:
            return entry.orig_filename  # The old encoding was meant.
    return entry.orig_filename


def _fault(entry: zipfile.ZipInfo, allowed: Settings) -> Message | None:
    kind = entry.external_attr >> 28  # The file type of Unix: 8 is a file, 0 where the system has none.
    if kind not in (0, 8):
        return SPECIAL
    if entry.flag_bits & 1:
        return Message("it is encrypted; pack it without a password")
    if entry.compress_type not in UNPACKED:
        return Message("it is packed in an unusual way (such as Deflate64); pack it anew, as an ordinary zip")
    if entry.file_size > allowed.max_file_mb * 1_000_000:
        return file_too_large(allowed)
    if entry.file_size > SMALL / 10 and entry.file_size > allowed.max_ratio * max(entry.compress_size, 1):
        return Message("it unpacks to more than {ratio} times its size", ratio=allowed.max_ratio)
    return None


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, allowed: Settings) -> bytes:
    try:
        with archive.open(entry) as file:
            return file.read(allowed.max_file_mb * 1_000_000)
    except (*MALFORMED, OSError, RuntimeError) as error:
        raise Unreadable(Message("it is damaged in the archive ({cause})", cause=str(error))) from error
