"""Archives and pictures with damage at random: what comes out is a sound data set or an error of our own.

An ordinary run takes some 10 seconds. THAW_FUZZ_EXAMPLES=2000 pytest tests/core/intake/test_fuzz.py tries as many of
each kind, which takes minutes. Examples are the same in every run, and a longer run goes on from a shorter one.
"""

import contextlib
import gzip
import io
import os
import secrets
import signal
import struct
import tarfile
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from core.data import datasets
from core.data.images import decode, open_image
from core.errors import BadData, BadImage
from core.intake import importer
from core.intake.importer import create_dataset
from tests.conftest import result_of
from tests.core.intake.bad_archives import look_alike

LIMITS = {"ARCHIVE_MB": 2, "UNPACKED_MB": 4, "FILE_MB": 1, "FILES": 100, "SIDE": 2000, "MEGAPIXELS": 1}
"""Small ones, so that an example takes milliseconds."""
SECONDS, WAITED = 5, 60
"""Of the processor's time, which a busy machine does not lengthen; and by the clock, for what hangs without working."""
DISK = 4_000_000
"""Bytes that an import may take up: what LIMITS let an archive unpack to."""
ORIENTATION, CAMERA, GPS = 0x0112, 0x010F, 0x8825
TELLING = {"comment", "xmp", "XML:com.adobe.xmp", "photoshop", "Comment"}
"""How Pillow calls what a stored copy must not say."""
NO_CHARACTERS = {"Cc", "Cs", "Zl", "Zp"}
"""Categories of Unicode: controls, halves of characters, line and paragraph separators."""

EXAMPLES = settings(
    max_examples=int(os.environ.get("THAW_FUZZ_EXAMPLES", "100")),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

Change = Callable[[bytes], bytes]


def picture(kind: str, width: int = 16, **save: object) -> bytes:
    """A small noise picture's file."""
    pixels = np.random.default_rng(0).integers(0, 255, (12, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **save)
    return file.getvalue()


def exif() -> bytes:
    """A turned photo's, with a camera and a place."""
    found = Image.Exif()
    found[ORIENTATION] = 6
    found[CAMERA] = "a camera"
    found[GPS] = {1: "N", 2: (51.0, 30.0, 11.0)}
    return found.tobytes()


PICTURES = {
    "photo.jpg": picture("JPEG", exif=exif(), comment=b"by me"),
    "progressive.jpg": picture("JPEG", progressive=True, icc_profile=bytes(100)),
    "twice.jpg": picture("MPO", exif=exif(), save_all=True, append_images=[Image.new("RGB", (16, 12))]),
    "plain.png": picture("PNG"),
    "telling.png": picture("PNG", exif=exif(), dpi=(72, 72)),
    "still.gif": picture("GIF", comment=b"by me"),
    "moving.gif": picture("GIF", save_all=True, append_images=[Image.new("RGB", (16, 12))]),
    "lossy.webp": picture("WEBP", exif=exif()),
    "plain.bmp": picture("BMP"),
    "raw.tif": picture("TIFF", exif=exif()),
    "packed.tif": picture("TIFF", compression="tiff_lzw"),
}
FILES = {
    "cats/photo.jpg": PICTURES["photo.jpg"],
    "dogs/still.gif": PICTURES["still.gif"],
    "dogs/plain.png": PICTURES["plain.png"],
    f"dogs/{'long' * 28}.png": picture("PNG", width=17),
    "dogs/large.png": picture("PNG", width=200),
    "notes.txt": b"no picture",
}


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive; names go into it as they are."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, content in files.items():
            entry = zipfile.ZipInfo("placeholder")
            entry.filename, entry.compress_type = name, method
            made.writestr(entry, content)
    return file.getvalue()


def tarred(files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as made:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return file.getvalue()


TAR = tarred(FILES)
ARCHIVES = {
    "stored.zip": zipped(FILES),
    "deflated.zip": zipped(FILES, zipfile.ZIP_DEFLATED),
    "pax.tar": TAR,
    "gnu.tar": tarred(FILES, tarfile.GNU_FORMAT),
    "packed.tar.gz": gzip.compress(TAR, mtime=0),
}


@pytest.fixture(scope="module", autouse=True)
def small_limits() -> Iterator[None]:
    """LIMITS as settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in LIMITS.items():
            patch.setenv(f"THAW_MAX_{name}", str(value))
        yield


@contextlib.contextmanager
def hanging_is_a_failure() -> Iterator[None]:
    """End what runs inside after SECONDS of work, or WAITED seconds."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"This took more than {SECONDS} s of the processor's time, or {WAITED} s.")

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, SECONDS), (signal.ITIMER_REAL, signal.SIGALRM, WAITED))
    before = [(number, signal.signal(number, stop)) for _timer, number, _seconds in timers]
    for timer, _number, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer, _number, _seconds in timers:
            signal.setitimer(timer, 0)
        for number, handler in before:
            signal.signal(number, handler)


def listing(top: Path, without: Path) -> dict[str, bytes | None]:
    """All files and folders below `top` but those below `without`, with their contents."""
    paths = (path for path in top.rglob("*") if without not in path.parents)
    return {str(path): path.read_bytes() if path.is_file() else None for path in paths}


def demand_sound(name: str, content: bytes) -> dict[str, bytes]:
    """Bring an archive in, and see that nothing else happens. Returns what is stored, by what it was called."""
    with tempfile.TemporaryDirectory() as scratch:
        top = Path(scratch).resolve()
        shelf = top / "home" / "person" / "data"
        shelf.mkdir(parents=True)
        (top / "home" / "cats").mkdir()
        file = top / "home" / name
        file.write_bytes(content)
        before = listing(top, shelf)
        with contextlib.chdir(shelf.parent), hanging_is_a_failure():
            try:
                data = result_of(
                    create_dataset(shelf, "pictures", "", importer.archive_members(file), secrets.token_hex(8))
                )
            except (BadData, BadImage) as error:
                demand_text(str(error))
                data = None
        assert listing(top, shelf) == before
        if data is None:
            assert {path.name for path in shelf.rglob("*")} <= {datasets.LOCK}
            return {}
        return demand_whole(shelf, data)


def demand_whole(shelf: Path, data: datasets.DataSet) -> dict[str, bytes]:
    """See that a data set holds what it says, and nothing that it must not; returns its pictures by name."""
    assert {path.name for path in shelf.iterdir()} <= {datasets.LOCK, data.folder.name}
    assert datasets.list_datasets(shelf) == [data]
    files = [path for path in shelf.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= DISK
    kept = datasets.read_index(data.folder)
    folder = data.folder / datasets.PICTURES
    assert sorted(folder / taken.file for taken in kept) == sorted(path for path in files if folder in path.parents)
    for text in chain(*((taken.file, taken.name, taken.label, taken.split) for taken in kept), map(str, data.notices)):
        demand_text(text)
    for skipped in data.skipped:
        demand_text(skipped.name)
        demand_text(str(skipped.reason))
    for taken in kept:
        demand_silent(folder / taken.file)
    return {taken.name: (folder / taken.file).read_bytes() for taken in kept}


def demand_text(text: str) -> None:
    """See that a text can be shown on one line."""
    assert not {unicodedata.category(character) for character in text} & NO_CHARACTERS, ascii(text)


def demand_silent(file: Path) -> None:
    """See that a picture can be read, and says nothing of who took it and where."""
    decode(file)
    with open_image(file) as image:
        image.load()
        assert set(image.getexif()) <= {ORIENTATION}
        assert not image.info.keys() & TELLING


def flip(position: int, bits: int) -> Change:
    """Change one byte."""
    return lambda content: replace(content, position, 1, bytes([at(content, position, 1)[0] ^ bits]))


def edit(position: int, number: bytes) -> Change:
    """Put other bytes in the place of as many."""
    return lambda content: replace(content, position, len(number), number)


def insert(position: int, piece: bytes) -> Change:
    """Put bytes between others."""
    return lambda content: replace(content, position, 0, piece)


def cut(position: int, length: int) -> Change:
    """Leave bytes out."""
    return lambda content: replace(content, position, length, b"")


def end(position: int) -> Change:
    """Leave out all that follows."""
    return lambda content: content[: position % len(content)] or content[:1]


def repeat(position: int, length: int, target: int) -> Change:
    """Put bytes in a second time, elsewhere."""
    return lambda content: replace(content, target, 0, at(content, position, length))


def at(content: bytes, position: int, length: int) -> bytes:
    """A piece of `content`, not empty; positions count round and round."""
    start = position % len(content)
    return content[start : start + length]


def replace(content: bytes, position: int, length: int, piece: bytes) -> bytes:
    """Put a piece in the place of another."""
    start = position % len(content)
    return (content[:start] + piece + content[start + length :]) or content[:1]


POSITIONS = st.integers(0, 100_000) | st.integers(-600, 600)
"""From the start, or from the end, where headers are."""
LENGTHS = st.integers(1, 40) | st.integers(1, 4000)
NUMBERS = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1])
EDGES = st.builds(
    lambda number, size, order: number.to_bytes(8, "little")[:size][::order], NUMBERS, st.sampled_from([1, 2, 4, 8]),
    st.sampled_from([1, -1]),
)  # fmt: skip
"""Numbers with which a size or a count may run over, as they are in headers."""
CHANGES = st.one_of(
    st.builds(flip, POSITIONS, st.integers(1, 255)),
    st.builds(edit, POSITIONS, EDGES),
    st.builds(insert, POSITIONS, st.binary(min_size=1, max_size=20)),
    st.builds(cut, POSITIONS, LENGTHS),
    st.builds(end, POSITIONS),
    st.builds(repeat, POSITIONS, LENGTHS, POSITIONS),
)
DAMAGE = st.lists(CHANGES, min_size=1, max_size=4)


def damaged(content: bytes, changes: list[Change]) -> bytes:
    """`content` after all the changes."""
    for change in changes:
        content = change(content)
    return content


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_as_it_should_be(name: str) -> None:
    assert sorted(demand_sound(name, ARCHIVES[name])) == sorted(FILES.keys() - {"notes.txt"})


@EXAMPLES
@given(st.sampled_from(sorted(ARCHIVES)), DAMAGE)
def test_a_damaged_archive(name: str, changes: list[Change]) -> None:
    demand_sound(name, damaged(ARCHIVES[name], changes))


@EXAMPLES
@given(DAMAGE)
def test_a_damaged_tar_in_sound_gzip(changes: list[Change]) -> None:
    demand_sound("a.tar.gz", gzip.compress(damaged(TAR, changes), 1))


ZIP_HEADERS = ((b"PK\3\4", 30), (b"PK\1\2", 46), (b"PK\5\6", 22))
ZIP_EDITS = st.tuples(st.sampled_from(ZIP_HEADERS), st.integers(0, 10), st.integers(4, 50), EDGES)


@EXAMPLES
@given(st.sampled_from(["stored.zip", "deflated.zip"]), st.lists(ZIP_EDITS, min_size=1, max_size=3))
def test_forged_headers_of_zip(name: str, edits: list[tuple[tuple[bytes, int], int, int, bytes]]) -> None:
    content = bytearray(ARCHIVES[name])
    for (signature, size), number, field, value in edits:
        starts = [start for start in range(len(content)) if content.startswith(signature, start)]
        if starts:
            place = starts[number % len(starts)] + field % (size + 2)
            content[place : place + len(value)] = value
    demand_sound(name, bytes(content))


METHODS = st.sampled_from([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 1, 6, 9, 93, 97, 99])


@EXAMPLES
@given(METHODS, st.sampled_from([0, 1, 2, 8, 32, 64, 0x800, 0x2000]), st.binary(max_size=60), st.integers(0, 2**32 - 1))
def test_other_methods_of_zip(method: int, flags: int, packed: bytes, size: int) -> None:
    content = zipped({"cats/1.jpg": packed, "dogs/2.png": PICTURES["plain.png"]})
    central = content.find(b"PK\1\2")
    forged = bytearray(content)
    for start, by in ((0, 0), (central, 2)):
        struct.pack_into("<HH", forged, start + 6 + by, flags, method)
        struct.pack_into("<I", forged, start + 22 + by, size)
    demand_sound("a.zip", bytes(forged))


def tar_header(name: bytes, kind: bytes, size: bytes) -> bytes:
    """512 bytes with a right sum over them."""
    start = struct.pack(
        "100s8s8s8s12s12s8sc100s8s", name, b"644", b"0", b"0", size, b"0", b" " * 8, kind, b"", b"ustar"
    )
    block = bytearray(start.ljust(512, b"\0"))
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def tar_member(name: bytes, kind: bytes, body: bytes, size: bytes | None) -> bytes:
    """A member, with its true size unless another is given."""
    return tar_header(name, kind, size or b"%011o" % len(body)) + body + bytes(-len(body) % 512)


def pax_records(records: list[tuple[bytes, bytes]]) -> bytes:
    """What an extended header says, as POSIX has it."""
    made = b""
    for key, value in records:
        rest = b" " + key + b"=" + value + b"\n"
        length = next(n for n in range(len(rest), len(rest) + 9) if n == len(str(n)) + len(rest))
        made += str(length).encode() + rest
    return made


KINDS = st.sampled_from([bytes([kind]) for kind in b"\x000123456789gxXLKSDVMNAz"])
SIZES = st.none() | EDGES | st.builds(lambda tail: b"\x80" + tail, st.binary(min_size=11, max_size=11)) | st.just(b"-1")
PAX_KEYS = [
    *(b"path", b"size", b"linkpath", b"hdrcharset", b"mtime", b"uid", b"charset"),
    *(b"GNU.sparse.map", b"GNU.sparse.size", b"GNU.sparse.offset", b"GNU.sparse.numbytes", b"GNU.sparse.numblocks"),
    *(b"GNU.sparse.major", b"GNU.sparse.minor", b"GNU.sparse.realsize", b"GNU.sparse.name"),
]
PAX_VALUES = [
    b"",
    b"0",
    b"1",
    b"-1",
    b"9" * 30,
    b"9" * 5000,
    b"1e9",
    b"nan",
    b"BINARY",
    b"1,2,3,4",
    b"0,5,x",
    b"\xff/1.png",
]
PAX = st.lists(
    st.tuples(st.sampled_from(PAX_KEYS), st.sampled_from(PAX_VALUES) | st.binary(max_size=20)), min_size=1, max_size=4
)
BODIES = st.sampled_from([PICTURES["plain.png"], b"", b"cats/9.png", b"1\n" * 300]) | PAX.map(pax_records)
TAR_MEMBERS = st.builds(
    tar_member, st.sampled_from([b"cats/1.png", b"cats/", b"./dogs/2.png", b""]), KINDS, BODIES, SIZES
)
CHAINS = st.tuples(TAR_MEMBERS, st.sampled_from([1, 1, 1, 2, 90, 600]))
"""A member, and how often it comes."""


@EXAMPLES
@given(st.lists(CHAINS, min_size=1, max_size=5), st.booleans())
def test_forged_headers_of_tar(chains: list[tuple[bytes, int]], packed: bool) -> None:
    content = b"".join(member * times for member, times in chains) + TAR
    demand_sound("a.tar", gzip.compress(content, 1) if packed else content)


@EXAMPLES
@given(st.lists(st.tuples(st.sampled_from(sorted(PICTURES)), DAMAGE), min_size=1, max_size=4))
def test_damaged_pictures(chosen: list[tuple[str, list[Change]]]) -> None:
    """What is kept looks as the damaged file does."""
    files = {f"cats/{n}-{name}": damaged(PICTURES[name], changes) for n, (name, changes) in enumerate(chosen)}
    for name, content in demand_sound("a.zip", zipped(files)).items():
        seen, kept = decode(files[name], name), decode(content, name)
        assert seen.size == kept.size
        # A JPEG is packed by its own tables, whose damage may be any.
        assert content.startswith(b"\xff\xd8") or seen.tobytes() == kept.tobytes()


def jpeg(segments: list[tuple[int, int, bytes]], before_scan: bytes, after: bytes) -> bytes:
    """A photo with more segments, each after so many fill bytes, and with something before its scan and at its end."""
    photo = PICTURES["photo.jpg"]
    scan = photo.find(b"\xff\xda")
    more = b"".join(
        b"\xff" * fill + bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2) + body for fill, marker, body in segments
    )
    return photo[:2] + more + photo[2:scan] + before_scan + photo[scan:] + after


BLOCK = exif()
XMP = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="8" by="me"/>'
ORIENTATIONS = st.builds(
    lambda kind, count, value: b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHI", ORIENTATION, kind, count) + value,
    st.integers(0, 18), st.integers(0, 5), st.binary(min_size=8, max_size=8),
)  # fmt: skip
SEGMENTS = st.tuples(
    st.integers(0, 2),
    st.sampled_from([0xE0, 0xE1, 0xE1, 0xE2, 0xEB, 0xED, 0xEE, 0xFE]),
    st.sampled_from([BLOCK, XMP, b"Photoshop 3.0\x008BIM", b"Adobe\0d\0\0\0\0\2", b"MPF\0"])
    | ORIENTATIONS
    | st.binary(max_size=40),
)  # fmt: skip
JUNK = st.sampled_from(
    [b"", b"\0", b"junk", b"\xff\0", b"\xff\xd0", b"\xff\xe1" + (len(BLOCK) + 2).to_bytes(2) + BLOCK]
)


@EXAMPLES
@given(st.lists(SEGMENTS, max_size=4), st.lists(JUNK, max_size=3), st.lists(JUNK, max_size=3))
def test_segments_of_jpeg(segments: list[tuple[int, int, bytes]], junk: list[bytes], after: list[bytes]) -> None:
    content = jpeg(segments, b"".join(junk), b"".join(after))
    for kept in demand_sound("a.zip", zipped({"cats/1.jpg": content})).values():
        assert look_alike(decode(content, "1.jpg"), decode(kept, "1.jpg"))
        assert b"a camera" not in kept
        assert b"by me" not in kept


PARTS = st.sampled_from(
    [
        *("cats", "Cats", "..", ".", "", " ", "a ", "a.", "C:", "\\", "/", "//host", "CON", "aux.png", "NUL"),
        *("train", "val", "test", "Train", "caf\u00e9", "cafe\u0301", "\0", "\n", "\x1b[31m", "\u202e", "\u200d"),
        *("\U0001f600", "\x80", "~", "$HOME", "%s", "<b>", "'\"", "_.jpg", "Thumbs.db", "__MACOSX", "x" * 130),
    ]
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)  # fmt: skip
NAMES = st.builds(
    lambda parts, ending: "/".join(parts) + ending,
    st.lists(PARTS, min_size=1, max_size=7),
    st.sampled_from([".png", ".PNG", ".png ", ".jpg", "/1.png", "/1.png", ""]),
)
RAW_NAMES = NAMES | st.binary(min_size=1, max_size=30).map(
    lambda raw: raw.decode("utf-8", "surrogateescape") + "/1.png"
)


@EXAMPLES
@given(st.lists(NAMES, min_size=1, max_size=6))
def test_names_in_zip(names: list[str]) -> None:
    demand_sound("a.zip", zipped(dict.fromkeys(names, PICTURES["plain.png"])))


@EXAMPLES
@given(st.lists(RAW_NAMES, min_size=1, max_size=6), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_names_in_tar(names: list[str], form: int) -> None:
    demand_sound("a.tar", tarred(dict.fromkeys(names, PICTURES["plain.png"]), form))


@EXAMPLES
@given(st.binary(min_size=1, max_size=30), st.booleans())
def test_bytes_as_a_name_in_zip(name: bytes, unicode: bool) -> None:
    content = zipped({"n" * len(name): b"", "cats/1.png": PICTURES["plain.png"]}).replace(b"n" * len(name), name)
    forged = bytearray(content)
    for start, field in ((0, 6), (content.find(b"PK\1\2"), 8)):
        struct.pack_into("<H", forged, start + field, 0x800 * unicode)
    demand_sound("a.zip", bytes(forged))
