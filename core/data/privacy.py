"""Keep a picture without what it says of who took it, where and with what (EXIF, XMP, IPTC, comments)."""

from collections.abc import Iterator
from io import BytesIO

from PIL import Image

from core.data.decode import as_seen

ORIENTATION = 0x0112
"""The one tag of EXIF that a person sees."""
TELLING = frozenset({0xE1, 0xED, 0xFE})
"""JPEG's segments APP1 (EXIF, XMP), APP13 (IPTC) and COM. Colour profiles and Adobe's sign of CMYK stay."""
SCAN = 0xDA
AS_THEY_ARE = {"PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "GIF": ".gif"}
"""Formats whose file is kept when it says nothing but the picture, and the suffix by which it is kept."""
SILENT = frozenset({"transparency", "gamma", "dpi", "background", "duration", "loop", "version", "extension", "srgb"})
PHOTOS = frozenset({"HEIF", "AVIF"})
QUALITY = 95


def kept(content: bytes, image: Image.Image) -> tuple[bytes, str]:
    """The bytes of a file to keep for `image`, which was opened from `content` and loaded, and the suffix of its name.

    JPEGs lose segments, not pixels. Of the rest, a file that says anything else is written anew, as seen.
    """
    if image.format in ("JPEG", "MPO"):
        return _without_segments(content, image.getexif().get(ORIENTATION, 1)), ".jpg"
    if image.format in AS_THEY_ARE and image.info.keys() <= SILENT and not image.getexif():
        return content, AS_THEY_ARE[image.format]
    file = BytesIO()
    if image.format in PHOTOS:  # As PNG, a photo would take ten times the room.
        as_seen(image).save(file, "JPEG", quality=QUALITY)
        return file.getvalue(), ".jpg"
    as_seen(image).save(file, "PNG")
    return file.getvalue(), ".png"


def _without_segments(content: bytes, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    own = exif.tobytes() if orientation != 1 else b""
    turned = b"\xff\xe1" + (len(own) + 2).to_bytes(2) + own if own else b""
    return content[:2] + turned + b"".join(part for marker, part in _segments(content) if marker not in TELLING)


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and bytes of each segment after the first; the last one is all the rest, from the scan on."""
    at = 2
    while at + 4 <= len(content):
        if content[at] != 0xFF or content[at + 1] == SCAN:
            break
        if content[at + 1] == 0xFF:  # A fill byte.
            at += 1
            continue
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4])
        yield content[at + 1], content[at:end]
        at = end
    yield SCAN, content[at:]
