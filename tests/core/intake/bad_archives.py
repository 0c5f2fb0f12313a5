"""Makers of archives, good and bad, for tests."""

import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def picture(size: tuple[int, int] = (24, 24), kind: str = "PNG", seed: int = 0, **save: object) -> bytes:
    """A noise picture's file."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **save)
    return file.getvalue()


GOOD: dict[str, bytes] = {
    f"{label}/{n}.png": picture(seed=n + 10 * len(label)) for label in ("a", "bb") for n in (1, 2)
}
"""Two classes of two pictures."""


def look_alike(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures of one size have the same shades and colours on the whole, within 3 of 255 levels.

    Saving a JPEG again changes single colours of noise by more, since it keeps a quarter of them only.
    """
    if one.size != other.size:
        return False
    shades = [np.asarray(image.convert("L"), dtype=np.int16) for image in (one, other)]
    colours = [np.asarray(image, dtype=np.float64).mean((0, 1)) for image in (one, other)]
    return float(np.abs(shades[0] - shades[1]).mean()) <= 3 and float(np.abs(colours[0] - colours[1]).max()) <= 3


def zipped(path: Path, files: Mapping[str, bytes], **given: object) -> Path:
    """A zip archive of `files`; `given` are attributes for every entry beyond GOOD."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            if name not in GOOD:
                for key, value in given.items():
                    setattr(entry, key, value)
            archive.writestr(entry, content)
    return path


def patched(path: Path, old: bytes, new: bytes) -> Path:
    """The file with bytes replaced by as many others."""
    content = path.read_bytes()
    assert old in content
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return path


def flagged(path: Path, name: str, flag: int) -> Path:
    """A zip whose entry `name` has a flag set."""
    return _changed_entry(path, name, local=6, central=8, form="<H", value=flag)


def packed_as(path: Path, name: str, method: int) -> Path:
    """A zip whose entry `name` says that it is packed by another method."""
    return _changed_entry(path, name, local=8, central=10, form="<H", value=method)


def sized(path: Path, name: str, size: int) -> Path:
    """A zip whose entry `name` claims another unpacked size."""
    return _changed_entry(path, name, local=22, central=24, form="<I", value=size)


def _changed_entry(path: Path, name: str, local: int, central: int, form: str, value: int) -> Path:
    """The zip with a field changed in both headers of an entry (APPNOTE.TXT, 4.3.7 and 4.3.12)."""
    content = bytearray(path.read_bytes())
    for signature, field, length in ((b"PK\3\4", local, 30), (b"PK\1\2", central, 46)):
        at = content.find(signature)
        while at >= 0:
            if content[at + length :].startswith(name.encode()):
                struct.pack_into(form, content, at + field, value)
            at = content.find(signature, at + 4)
    path.write_bytes(content)
    return path


def overlapping(path: Path, count: int, size: int) -> Path:
    """A zip whose entries all use the bytes of the first one (D. Fifield, "A better zip bomb", much simplified)."""
    zipped(path, {"a/000.png": bytes(size)})
    content = path.read_bytes()
    start = content.find(b"PK\1\2")
    end = content.rfind(b"PK\5\6")
    entry = content[start:end]
    entries = b"".join(entry.replace(b"a/000.png", f"a/{n:03}.png".encode()) for n in range(count))
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(entries), start, 0)
    path.write_bytes(content[:start] + entries + tail)
    return path


def tarred(path: Path, files: Mapping[str, bytes], *special: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    """A tar archive of `files` and of members that are something else."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in special:
            archive.addfile(member)
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A member of a tar that is no file."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member
