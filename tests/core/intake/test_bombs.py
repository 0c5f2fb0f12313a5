"""Small files that unpack to anything: refused, or passed over, within 300 MB of memory."""

import bz2
import gzip
import io
import lzma
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.core.intake.bad_archives import GOOD, picture, sized, tarred, zipped

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")

IMPORT = """
import sys
from pathlib import Path
from core.data import datasets
from core.intake.importer import archive_members, create_dataset
from core.errors import BadData
from tests.conftest import result_of
from tests.core.jobs.processes import limit_memory

limit_memory(int(sys.argv[3]))
try:
    made = result_of(create_dataset(Path(sys.argv[2]), "mine", "", archive_members(Path(sys.argv[1])), "0" * 12))
    print(len(datasets.read_index(made.folder)), "kept;", *(one.reason for one in made.skipped))
except BadData as error:
    print(error)
"""


def bzip2_in_zip(folder: Path) -> Path:
    """`zipfile` unpacks bzip2 and LZMA without bounds."""
    path = zipped(folder / "data.zip", GOOD)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("a/x.png", bytes(400_000_000), zipfile.ZIP_BZIP2)
    return sized(path, "a/x.png", 1000)


def pax(*records: bytes) -> bytes:
    """A tar that begins with a pax header of these records."""
    body = b"".join(records)
    member = tarfile.TarInfo("about")
    member.type, member.size = tarfile.XHDTYPE, len(body)
    return member.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512)


def many_digits(folder: Path) -> Path:
    """CVE-2024-6232: a header of digits takes `tarfile` the square of their number."""
    (folder / "data.tar.gz").write_bytes(gzip.compress(pax(b"1" * 1_000_000) + bytes(1024)))
    return folder / "data.tar.gz"


def huge_member(folder: Path) -> Path:
    """`tarfile` passes over 2⁷⁰ bytes in as many steps."""
    member = bytearray(tarfile.TarInfo("a/1.png").tobuf(tarfile.USTAR_FORMAT))
    member[124:136] = b"\x80" + (2**70).to_bytes(11)
    member[148:156] = b" " * 8
    member[148:156] = b"%06o\0 " % sum(member)
    (folder / "data.tar").write_bytes(bytes(member))
    return folder / "data.tar"


def chained_headers(folder: Path) -> Path:
    """Each header about a header is a level of recursion in `tarfile`."""
    (folder / "data.tar").write_bytes(pax(b"12 path=a/x\n") * 5000 + bytes(1024))
    return folder / "data.tar"


def wide_xz(folder: Path) -> Path:
    """Unpacking takes as much memory as the archive asks for."""
    content = tarred(folder / "data.tar", GOOD, mode="w").read_bytes()
    packed = bytearray(lzma.compress(content, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}]))
    # The block's header says how large its dictionary is (xz file format 1.2.0, 3.1 and 5.3.1): 39 means 3 GB.
    start, size = 12, (packed[12] + 1) * 4
    packed[start + 4] = 39
    packed[start + size - 4 : start + size] = struct.pack("<I", zlib.crc32(packed[start : start + size - 4]))
    (folder / "data.tar.xz").write_bytes(packed)
    return folder / "data.tar.xz"


def many_scans(folder: Path) -> Path:
    """Every scan of a progressive JPEG takes the time of the whole picture."""
    file = io.BytesIO()
    Image.new("RGB", (6000, 6000)).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content.rfind(b"\xff\xda")
    bomb = content[:last] + content[last:-2] * 1000 + b"\xff\xd9"
    return zipped(folder / "data.zip", GOOD | {"a/x.jpg": bomb})


def many_pages(folder: Path) -> Path:
    """Counting the pages of a TIFF takes the square of their number."""
    file = io.BytesIO()
    frame = Image.new("1", (10, 10))
    frame.save(file, "TIFF", save_all=True, append_images=[frame] * 1500)
    return zipped(folder / "data.zip", GOOD | {"a/x.tif": file.getvalue()})


def four_large(folder: Path) -> Path:
    """Four of 40 megapixels at once."""
    file = io.BytesIO()
    Image.new("L", (6300, 6300)).save(file, "PNG")
    return zipped(folder / "data.zip", GOOD | {f"a/x{n}.png": file.getvalue() for n in range(4)})


def far_list(folder: Path) -> Path:
    """The size of the list of entries is told in a zip64 record, and a small one beside it."""
    path = zipped(folder / "data.zip", {f"a/{n}": b"" for n in range(100_000)})
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.rfind(b"PK\5\6") + 12, 0xFFFFFFFF)
    path.write_bytes(content)
    return path


def nested_bzip2(folder: Path) -> Path:
    (folder / "data.tar.bz2").write_bytes(bz2.compress(bytes(300_000_000)))
    return folder / "data.tar.bz2"


BOMBS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "bzip2 in a zip": (bzip2_in_zip, "4 kept; it is packed in an unusual way"),
    "digits in a header": (many_digits, "a header in it is too long"),
    "a member without end": (huge_member, "data.tar"),
    "headers about headers": (chained_headers, "data.tar"),
    "a wide xz": (wide_xz, "data.tar.xz is damaged, or no zip or tar archive (Memory usage limit exceeded)"),
    "scans": (many_scans, "4 kept; it is a JPEG of more than 100 scans"),
    "pages": (many_pages, "5 kept;"),
    "a far list": (far_list, "holds more than 20,000 files"),
    "a packed nothing": (nested_bzip2, "data.tar.bz2"),
}


def bring_in(path: Path, shelf: Path, memory: int = 300_000_000) -> str:
    """What an import in a process of so many more bytes of memory says. A minute is the deadline of one that hangs."""
    command = [sys.executable, "-c", IMPORT, str(path), str(shelf), str(memory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("make", "sentence"), BOMBS.values(), ids=BOMBS)
def test_a_bomb(make: Callable[[Path], Path], sentence: str, tmp_path: Path) -> None:
    assert sentence in bring_in(make(tmp_path), tmp_path / "shelf")


def test_large_pictures_are_decoded_one_at_a_time(tmp_path: Path) -> None:
    # One takes 200 MB, and as much again in between.
    assert bring_in(four_large(tmp_path), tmp_path / "shelf", memory=600_000_000).startswith("8 kept;")


def test_an_honest_zip64_is_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, content in GOOD.items():
            with file.open(name, "w", force_zip64=True) as entry:
                entry.write(content)
    assert bring_in(path, tmp_path / "shelf").startswith("4 kept;")


def test_an_ordinary_archive_needs_no_more_memory(tmp_path: Path) -> None:
    files = {f"{label}/{n}.png": picture((64, 64), seed=n) for label in "ab" for n in range(50)}
    assert bring_in(zipped(tmp_path / "data.zip", files), tmp_path / "shelf").startswith("100 kept;")
