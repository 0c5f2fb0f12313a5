"""The matrix of bad archives and pictures: each row says what is kept, what is skipped why, or why all is refused."""

import re
import secrets
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from core.data import datasets
from core.data.images import decode, formats
from core.data.scan import read_image_folder
from core.errors import BadData
from core.intake import importer
from core.intake.importer import create_dataset
from tests.conftest import result_of
from tests.core.intake.bad_archives import (
    GOOD,
    flagged,
    look_alike,
    overlapping,
    packed_as,
    patched,
    picture,
    sized,
    special,
    tarred,
    zipped,
)

Make = Callable[[Path], Path]
LINK = (stat.S_IFLNK | 0o777) << 16
DEVICE = (stat.S_IFCHR | 0o666) << 16
ZEROS = bytes(15_000_000)


@dataclass(frozen=True)
class Row:
    """An archive and what must come of it. Pictures by class are GOOD's and `more`, or `only` those."""

    make: Make
    skipped: dict[str, str] = field(default_factory=dict)
    more: dict[str, int] = field(default_factory=dict)
    only: dict[str, int] = field(default_factory=dict)
    refused: str = ""
    notice: str = ""
    limits: dict[str, str] = field(default_factory=dict)


def zip_of(files: dict[str, bytes], **given: object) -> Make:
    return lambda folder: zipped(folder / "data.zip", GOOD | files, **given)


def tar_of(*members: tarfile.TarInfo, files: dict[str, bytes] | None = None, mode: str = "w:gz") -> Make:
    return lambda folder: tarred(folder / "data.tar.gz", GOOD | (files or {}), *members, mode=mode)


def raw(content: bytes, name: str = "data.zip") -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def cut(folder: Path) -> Path:
    path = zipped(folder / "data.zip", GOOD)
    path.write_bytes(path.read_bytes()[:-200])
    return path


def cut_tar(folder: Path) -> Path:
    path = tarred(folder / "data.tar.gz", GOOD)
    path.write_bytes(path.read_bytes()[:-200])
    return path


def with_flag(flag: int) -> Make:
    return lambda folder: flagged(zipped(folder / "data.zip", GOOD | {"a/x.png": picture()}), "a/x.png", flag)


def with_method(method: int) -> Make:
    return lambda folder: packed_as(zipped(folder / "data.zip", GOOD | {"a/x.png": picture()}), "a/x.png", method)


def with_size(size: int) -> Make:
    return lambda folder: sized(zipped(folder / "data.zip", GOOD | {"a/x.png": picture()}), "a/x.png", size)


def bad_crc(folder: Path) -> Path:
    path = folder / "data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, content in (GOOD | {"a/x.png": b"12345678" + picture()}).items():
            file.writestr(name, content)
    return patched(path, b"12345678", b"12345679")


def zero_byte(folder: Path) -> Path:
    return patched(zipped(folder / "data.zip", GOOD | {"a/x_.png": picture()}), b"a/x_.png", b"a/x\0.png")


def not_utf8(folder: Path) -> Path:
    """As other systems write names; Python reads and writes such a byte as a lone surrogate."""
    return tarred(folder / "data.tar", GOOD | {"a/x\udcff.png": picture()}, mode="w")


def bad_header(folder: Path) -> Path:
    return patched(tarred(folder / "data.tar", GOOD | {"a/x.png": picture()}, mode="w"), b"a/x.png", b"a/y.png")


def long_header(folder: Path) -> Path:
    """A pax header of 15 MB, packed to a few kilobytes."""
    member = tarfile.TarInfo("a/1.png")
    member.pax_headers = {"comment": "x" * 15_000_000}
    with tarfile.open(folder / "data.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as file:
        file.addfile(member)
    return folder / "data.tar.gz"


ARCHIVES = {
    "out of the folder": Row(zip_of({"../evil.png": picture()}), {"../evil.png": "leads out of the archive"}),
    "out from within": Row(zip_of({"a/../../evil.png": picture()}), {"a/../../evil.png": "leads out"}),
    "absolute": Row(zip_of({"/tmp/evil.png": picture()}), {"/tmp/evil.png": "begins at the root"}),
    "drive": Row(zip_of({"C:/evil.png": picture()}), {"C:/evil.png": "a path of Windows"}),
    "backslashes": Row(zip_of({"a\\evil.png": picture()}), {"a\\evil.png": "a path of Windows"}),
    "zero byte": Row(zero_byte, {"a/x\N{REPLACEMENT CHARACTER}.png": "zero byte"}),
    "tar: out of the folder": Row(tar_of(files={"../evil.png": picture()}), {"../evil.png": "leads out"}),
    "zip: link": Row(zip_of({"a/link.png": b"/etc/passwd"}, external_attr=LINK), {"a/link.png": "a link or a device"}),
    "zip: device": Row(zip_of({"a/dev.png": b""}, external_attr=DEVICE), {"a/dev.png": "a link or a device"}),
    "tar: link": Row(tar_of(special("a/l.png", tarfile.SYMTYPE, "/etc/passwd")), {"a/l.png": "a link or a device"}),
    "tar: hard link": Row(tar_of(special("a/l.png", tarfile.LNKTYPE, "a/1.png")), {"a/l.png": "a link or a device"}),
    "tar: device": Row(tar_of(special("a/d.png", tarfile.CHRTYPE)), {"a/d.png": "a link or a device"}),
    "tar: fifo": Row(tar_of(special("a/f.png", tarfile.FIFOTYPE)), {"a/f.png": "a link or a device"}),
    "bomb: ratio": Row(zip_of({"a/x.png": ZEROS}), {"a/x.png": "more than 200 times its size"}),
    "bomb: forged size": Row(with_size(100), {"a/x.png": "damaged"}),
    "bomb: overlapping": Row(lambda f: overlapping(f / "d.zip", 500, 1_000_000), refused="some of its files overlap"),
    "bomb: tar": Row(tar_of(files={"a/x.png": ZEROS}), refused="unpacks to more than 200 times its size"),
    "bomb: tar header": Row(long_header, refused="data.tar.gz"),
    "bomb: unpacked": Row(
        zip_of({f"a/{n}.png": bytes(900_000) for n in range(5)}), refused="more than 1 MB", limits={"UNPACKED_MB": "1"}
    ),
    "bomb: count": Row(zip_of({}), refused="more than 3 files", limits={"FILES": "3"}),
    "tar: count": Row(tar_of(), refused="more than 3 files", limits={"FILES": "3"}),
    "large archive": Row(raw(bytes(1_100_000)), refused="1 MB are allowed", limits={"ARCHIVE_MB": "1"}),
    "large file": Row(
        zip_of({"a/x.bmp": picture((800, 600), "BMP")}), {"a/x.bmp": "more than 1 MB"}, limits={"FILE_MB": "1"}
    ),
    "nested": Row(zip_of({"a/more.zip": b"PK"}), {"a/more.zip": "unpack it first"}),
    "rar": Row(raw(b"Rar!\x1a\x07\x00" + bytes(50), "data.rar"), refused="is a RAR archive"),
    "7z": Row(raw(b"7z\xbc\xaf\x27\x1c" + bytes(50), "data.7z"), refused="is a 7z archive"),
    "encrypted": Row(with_flag(1), {"a/x.png": "encrypted"}),
    "deflate64": Row(with_method(9), {"a/x.png": "Deflate64"}),
    "bad crc": Row(bad_crc, {"a/x.png": "damaged"}),
    "truncated zip": Row(cut, refused="is damaged, or no zip or tar archive"),
    "truncated tar": Row(cut_tar, refused="is damaged, or no zip or tar archive"),
    "tar: bad header": Row(bad_header, refused="is damaged, or no zip or tar archive"),
    "empty file": Row(raw(b""), refused="is damaged, or no zip or tar archive"),
    "not an archive": Row(raw(b"hello, world" * 100), refused="is damaged, or no zip or tar archive"),
    "zip without files": Row(lambda f: zipped(f / "d.zip", {}), refused="no pictures in it"),
    "what systems leave behind": Row(
        zip_of(dict.fromkeys(["__MACOSX/a/._1.png", "a/.DS_Store", "a/Thumbs.db", "desktop.ini", ".git/x.png"], b"x"))
    ),
    "one folder around all": Row(lambda f: zipped(f / "d.zip", {f"my photos/{n}": c for n, c in GOOD.items()})),
    "one folder around all, and a picture beside the classes": Row(
        lambda f: zipped(f / "d.zip", {f"my photos/{n}": c for n, c in (GOOD | {"cover.png": picture()}).items()}),
        {"my photos/cover.png": "one folder per class"},
    ),
    "a folder that was packed as ./": Row(
        lambda f: tarred(f / "d.tar", {f"./{n}": c for n, c in (GOOD | {"cover.png": picture()}).items()}, mode="w"),
        {"./cover.png": "one folder per class"},
    ),
    "tar: with a zip in it": Row(
        lambda f: tarred(f / "d.tar", GOOD | {"b.zip": zipped(f / "b.zip", GOOD).read_bytes()}, mode="w"),
        {"b.zip": "unpack it first"},
    ),
    "a blank at the end": Row(zip_of({"a/x.png ": picture()}), more={"a": 1}),
    "pictures in no class": Row(zip_of({"loose.png": picture()}), {"loose.png": "one folder per class"}),
    "depth": Row(zip_of({"a/b/c/d/e/x.png": picture()}), {"a/b/c/d/e/x.png": "more than 4 folders"}),
    "long name": Row(zip_of({f"a/{'x' * 200}.png": picture()}), {f"a/{'x' * 200}.png": "longer than 120"}),
    "case": Row(zip_of({"A/1.png": picture()}), more={"A": 1}, notice="upper and lower case only"),
    "composed and not": Row(
        zip_of({"caf\u00e9/1.png": picture(), "cafe\u0301/2.png": picture(seed=5)}),
        more={"caf\u00e9": 2},
        notice="2 folders whose names look the same were put together: caf\u00e9",
    ),
    "trailing dot and blank": Row(zip_of({"a. /x.png": picture()}), more={"a": 1}),
    "name of a Windows device": Row(zip_of({"CON/nul.png": picture()}), more={"CON": 1}),
    "not UTF-8": Row(not_utf8, more={"a": 1}),
    "HTML, Markdown, LaTeX, emoji, right to left": Row(
        zip_of({f"{label}/1.png": picture() for label in ("<b>x<b>", "*x*_y_", "$x^2$", "👨‍👩‍👧", "שלום")}),
        more={"<b>x<b>": 1, "*x*_y_": 1, "$x^2$": 1, "👨‍👩‍👧": 1, "שלום": 1},
    ),
    "a name that turns the line": Row(zip_of({"a/\u202egnp.exe.png": picture()}), more={"a": 1}),
    "one class": Row(lambda f: zipped(f / "d.zip", {"a/1.png": picture()}), only={"a": 1}),
    "too many classes": Row(zip_of({}), refused="There are 2 classes; 1 are allowed", limits={"CLASSES": "1"}),
}


REFUSED = {name: row for name, row in ARCHIVES.items() if row.refused}
KEPT = {name: row for name, row in ARCHIVES.items() if not row.refused}


@pytest.fixture
def bring_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Row], datasets.DataSet]]:
    """Imports a row's archive; nothing may be written beside the shelf."""
    before: set[Path] = set()

    def run(row: Row) -> datasets.DataSet:
        for name, value in row.limits.items():
            monkeypatch.setenv(f"THAW_MAX_{name}", value)
        path = row.make(tmp_path)
        before.update(tmp_path.rglob("*"))
        return result_of(
            create_dataset(tmp_path / "shelf", "mine", "", importer.archive_members(path), secrets.token_hex(8))
        )

    yield run
    shelf = tmp_path / "shelf"
    assert {file for file in tmp_path.rglob("*") if not file.is_relative_to(shelf)} == before


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED)
def test_an_archive_that_is_refused(row: Row, bring_in: Callable[[Row], datasets.DataSet], tmp_path: Path) -> None:
    with pytest.raises(BadData, match=re.escape(row.refused)):
        bring_in(row)
    assert [file for file in (tmp_path / "shelf").rglob("*") if file.name != datasets.LOCK] == []


@pytest.mark.parametrize("row", KEPT.values(), ids=KEPT)
def test_an_archive_of_which_what_is_good_is_kept(row: Row, bring_in: Callable[[Row], datasets.DataSet]) -> None:
    made = bring_in(row)
    skipped = {one.name: str(one.reason) for one in made.skipped}
    assert skipped.keys() == row.skipped.keys()
    assert [name for name, reason in row.skipped.items() if reason not in skipped[name]] == []
    pictures = datasets.read_index(made.folder)
    counts = Counter(taken.label for taken in pictures)
    assert counts == (Counter(row.only) or Counter({"a": 2, "bb": 2}) + Counter(row.more))
    assert {decode(made.folder / datasets.PICTURES / taken.file).size for taken in pictures} == {(24, 24)}
    assert not row.notice or any(row.notice in str(notice) for notice in made.notices)


def split_zip(folder: Path, *tops: str) -> Path:
    return zipped(folder / "data.zip", {f"{top}/{n}": content for top in tops for n, content in GOOD.items()})


@pytest.mark.parametrize(
    ("tops", "parts"),
    [
        (("train", "val"), {"train": 4, "val": 4}),
        (("Training", "Validation"), {"train": 4, "val": 4}),
        (("train", "test"), {"train": 4, "test": 4}),
        (("Training", "Testing"), {"train": 4, "test": 4}),
        (("train", "val", "tests"), {"train": 4, "val": 4, "test": 4}),
    ],
)
def test_folders_of_a_split(tmp_path: Path, tops: tuple[str, ...], parts: dict[str, int]) -> None:
    made = result_of(
        create_dataset(
            tmp_path / "shelf", "mine", "", importer.archive_members(split_zip(tmp_path, *tops)), secrets.token_hex(8)
        )
    )
    kept = [taken.split for taken in datasets.read_index(made.folder)]
    assert {part: kept.count(part) for part in set(kept)} == parts
    assert made.skipped == ()
    folder = read_image_folder(made.folder)
    own = {"train": folder.train, "val": folder.val, "test": folder.test}
    assert {part: len(pictures) for part, pictures in own.items() if pictures is not None} == parts


def test_a_flat_test_beside_classes_is_left_out(tmp_path: Path) -> None:
    content = next(iter(GOOD.values()))
    inside = {f"train/{name}": one for name, one in GOOD.items()} | {"test/1.png": content, "test/2.png": content}
    members = importer.archive_members(zipped(tmp_path / "data.zip", inside))
    made = result_of(create_dataset(tmp_path / "shelf", "mine", "", members, secrets.token_hex(8)))
    assert {taken.split for taken in datasets.read_index(made.folder)} == {"train"}
    assert [one.name for one in made.skipped] == ["test/1.png", "test/2.png"]
    assert {str(one.reason) for one in made.skipped} == {
        "it is in no class; put the pictures into one folder per class, such as cats/ and dogs/"
    }
    assert read_image_folder(made.folder).val is None


def exif() -> Image.Exif:
    """Turned by 90°, taken by somebody somewhere."""
    tags = Image.Exif()
    tags[0x0112], tags[0x010F] = 6, "Maker of the camera"
    tags.get_ifd(0x8825)[1] = "N"
    return tags


def drawn(mode: str, kind: str, size: tuple[int, int] = (24, 24), **save: object) -> bytes:
    file = BytesIO()
    Image.new(mode, size).save(file, kind, **save)
    return file.getvalue()


FRAMES = [Image.new("RGB", (24, 24), colour) for colour in ("red", "blue")]
PICTURES: dict[str, tuple[str, bytes, str]] = {
    "text": ("x.jpg", b"hello", "is not a picture"),
    "HTML": ("x.jpg", b"<html><img src='http://example.com'></html>", "is not a picture"),
    "SVG": ("x.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a picture"),
    "EPS": ("x.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture"),
    "nothing": ("x.jpg", b"", "is not a picture"),
    "half a JPEG": ("x.jpg", picture((200, 200), "JPEG")[:3000], "is damaged"),
    "half a PNG": ("x.png", picture((200, 200))[:3000], "is damaged"),
    "huge": ("x.png", drawn("1", "PNG", (12_000, 12_000)), "limits are"),
    "thin": ("x.png", drawn("1", "PNG", (10, 9_000)), "20 times the other"),
    "one pixel": ("x.png", drawn("RGB", "PNG", (1, 1)), "at least 10"),
    "no picture's name": ("x.svg", b"<svg/>", "its name is not that of a picture"),
    "CMYK": ("x.jpg", drawn("CMYK", "JPEG"), ""),
    "palette": ("x.png", drawn("P", "PNG"), ""),
    "one bit": ("x.png", drawn("1", "PNG"), ""),
    "alpha": ("x.png", drawn("RGBA", "PNG"), ""),
    "float TIFF": ("x.tif", drawn("F", "TIFF"), ""),
    "16 bits of grey": ("x.png", drawn("I;16", "PNG"), ""),
    "WebP": ("x.webp", drawn("RGB", "WEBP"), ""),
    "turned JPEG": ("x.jpg", drawn("RGB", "JPEG", (48, 24), exif=exif()), ""),
    "turned PNG": ("x.png", drawn("RGB", "PNG", (48, 24), exif=exif()), ""),
    "turned WebP": ("x.webp", drawn("RGB", "WEBP", (48, 24), exif=exif()), ""),
    "animated GIF": ("x.gif", drawn("RGB", "GIF", save_all=True, append_images=FRAMES), ""),
    "TIFF of several pages": ("x.tiff", drawn("RGB", "TIFF", save_all=True, append_images=FRAMES), ""),
}


@pytest.mark.parametrize(("name", "content", "reason"), PICTURES.values(), ids=PICTURES)
def test_a_picture(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = zipped(tmp_path / "data.zip", GOOD | {f"a/{name}": content})
    made = result_of(
        create_dataset(tmp_path / "shelf", "mine", "", importer.archive_members(path), secrets.token_hex(8))
    )
    if reason:
        ((one),) = made.skipped
        assert one.name == f"a/{name}"
        assert reason in str(one.reason)
        return
    (kept,) = [taken for taken in datasets.read_index(made.folder) if taken.name == f"a/{name}"]
    file = made.folder / datasets.PICTURES / kept.file
    original = tmp_path / name
    original.write_bytes(content)
    assert look_alike(decode(file), decode(original))
    assert file.suffix == ".jpg" or decode(file).tobytes() == decode(original).tobytes()
    assert b"Maker of the camera" not in file.read_bytes()
    with Image.open(file) as image:
        assert set(image.getexif()) <= {0x0112}


@pytest.mark.parametrize(("kind", "module"), [("HEIF", "pillow_heif"), ("AVIF", "PIL._avif")])
def test_photos_of_phones(tmp_path: Path, kind: str, module: str) -> None:
    pytest.importorskip(module)
    assert kind in formats()
    content = BytesIO()
    Image.new("RGB", (60, 40), "red").save(content, kind)
    path = zipped(tmp_path / "data.zip", GOOD | {f"a/x.{kind.lower()}": content.getvalue()})
    made = result_of(
        create_dataset(tmp_path / "shelf", "mine", "", importer.archive_members(path), secrets.token_hex(8))
    )
    (kept,) = [taken for taken in datasets.read_index(made.folder) if taken.name.startswith("a/x.")]
    seen = decode(made.folder / datasets.PICTURES / kept.file)
    assert kept.file.endswith(".jpg")
    assert seen.size == (60, 40)
    red, green, blue = seen.getpixel((30, 20))  # type: ignore[misc]
    assert red > 240
    assert max(green, blue) < 20


def test_animations_are_said(tmp_path: Path) -> None:
    moving = drawn("RGB", "GIF", save_all=True, append_images=FRAMES)
    path = zipped(tmp_path / "data.zip", GOOD | {"a/x.gif": moving})
    made = result_of(
        create_dataset(tmp_path / "shelf", "mine", "", importer.archive_members(path), secrets.token_hex(8))
    )
    assert tuple(map(str, made.notices)) == (
        "1 animations or files of several pages: only their first picture is used.",
    )


def test_a_thousand_classes(tmp_path: Path) -> None:
    content = picture()
    path = zipped(tmp_path / "data.zip", {f"class {number}/1.png": content for number in range(1000)})
    made = result_of(
        create_dataset(tmp_path / "shelf", "mine", "", importer.archive_members(path), secrets.token_hex(8))
    )
    assert read_image_folder(made.folder).classes[-1] == "class 999"
