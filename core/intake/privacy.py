"""Keep a picture without what its file says beside it: who took it, where and with what, thumbnails, other pictures.

The file is written anew: nothing but the picture can be in it, whatever was.
"""

from io import BytesIO

from PIL import Image

from core.data.decode import ORIENTATION, as_seen, orientation

LOSSY = frozenset({"MPO", "WEBP", "HEIF", "AVIF"})
"""Formats of photos: as PNG, they would take many times the room."""
QUALITY = 95


def kept(image: Image.Image) -> tuple[bytes, str]:
    """The bytes of a file to keep for `image`, which was opened and loaded, and the suffix of its name.

    A JPEG is packed by its own tables, and stays turned as it was: values of pixels move by next to nothing.
    """
    file = BytesIO()
    if image.format == "JPEG":
        exif = Image.Exif()
        exif[ORIENTATION] = orientation(image)
        image.save(file, "JPEG", quality="keep", exif=exif, icc_profile=b"", comment=b"")
        return file.getvalue(), ".jpg"
    seen = as_seen(image)
    seen.info = {}
    if image.format in LOSSY:
        seen.save(file, "JPEG", quality=QUALITY, subsampling=0)
        return file.getvalue(), ".jpg"
    seen.save(file, "PNG", compress_level=1)
    return file.getvalue(), ".png"
