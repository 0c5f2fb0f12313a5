"""Small pictures of pictures."""

from pathlib import Path

from PIL import Image, ImageOps

from core.data.decode import as_seen, opened
from core.errors import BadImage


def thumbnail(path: Path, side: int) -> Image.Image:
    """The middle of a picture, `side` pixels square; even grey for one that cannot be read."""
    try:
        with opened(path) as image:
            image.draft("RGB", (2 * side, 2 * side))  # A JPEG is then decoded at a fraction of its size.
            return ImageOps.fit(as_seen(image), (side, side))
    except BadImage:
        return Image.new("RGB", (side, side), "gainsboro")
