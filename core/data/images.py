"""Read one image as a person sees it: upright, in colour, transparency on white, the first frame of an animation."""

import functools
import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

from core.errors import BadImage
from core.settings import settings

ORIENTATION = 0x0112
"""The tag of EXIF that says how the camera was held."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SMALLEST_SIDE = 10
"""In pixels: less shows nothing, whatever is allowed otherwise."""
Image.MAX_IMAGE_PIXELS = None  # Settings of our own come first; Pillow's would only repeat them.


@functools.cache
def formats() -> tuple[str, ...]:
    """What can be read here: HEIC by way of the optional package `pillow-heif`."""
    found = ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"]
    if features.check("avif"):
        found.append("AVIF")
    if importlib.util.find_spec("pillow_heif"):
        importlib.import_module("pillow_heif").register_heif_opener()
        found.append("HEIF")
    return tuple(found)


def decode(source: Path | bytes, name: str | None = None) -> Image.Image:
    """The image at a path, or in the bytes of a file called `name`, in mode RGB.

    Raises BadImage with the file's name and what is wrong with it.
    """
    with open_image(source, name) as image:
        image.load()
        return as_seen(image)


@contextmanager
def open_image(source: Path | bytes, name: str | None = None) -> Iterator[Image.Image]:
    """The image as Pillow has it, its size checked and nothing decoded yet. Raises BadImage, then and later on."""
    shown = name or str(source)
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=formats()) as image:
            _check_size(shown, *image.size)
            yield image
    except (BadImage, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise BadImage(f"{shown} is not a picture; remove it, or save it again as JPEG or PNG.") from error
    except FileNotFoundError as error:
        raise BadImage(f"{shown} is not there; check its path, or put it back.") from error
    except Exception as error:  # Pillow's readers raise what they like: SyntaxError, TypeError, RuntimeError, …
        raise BadImage(f"{shown} is damaged ({error}); remove it or replace it by a sound copy.") from error


def _check_size(name: str, width: int, height: int) -> None:
    """Refuse what would not fit into memory, or could not be cropped to a square, before any pixel is decoded."""
    allowed = settings()
    size = f"{name} is {width} × {height} pixels"
    if min(width, height) < SMALLEST_SIDE:
        raise BadImage(f"{size}; each side needs at least {SMALLEST_SIDE}. Remove it or take a larger copy.")
    if max(width, height) > allowed.max_side or width * height > allowed.max_megapixels * 1_000_000:
        most = f"the limits are {allowed.max_side:,} pixels a side and {allowed.max_megapixels} megapixels"
        raise BadImage(f"{size}; {most}. Scale it down.")
    if max(width, height) > allowed.max_aspect * min(width, height):
        raise BadImage(f"{size}; one side may be at most {allowed.max_aspect} times the other. Crop it.")


def as_seen(image: Image.Image) -> Image.Image:
    """An opened image as a person sees it, in mode RGB."""
    turn = TURNS.get(orientation(image))
    upright = image.transpose(turn) if turn is not None else image
    if upright.mode.startswith(("I", "F")):
        return _scaled_grey(upright).convert("RGB")
    if upright.has_transparency_data:
        layers = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    return upright.convert("RGB")


def orientation(image: Image.Image) -> int:
    """How an image is to be turned, 1 (not at all) to 8, as EXIF has it; 1 for values that mean nothing."""
    value = image.getexif().get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def is_animated(image: Image.Image) -> bool:
    """Whether it has frames or pages after the first; what some cameras add to a photo (MPO) is none."""
    return image.format != "MPO" and bool(getattr(image, "is_animated", False))


def _scaled_grey(image: Image.Image) -> Image.Image:
    """16-bit grey by its full range, floating-point grey by its own: Pillow's own conversion clips both at 255."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0.0, neginf=0.0)
    low, high = (0.0, 65535.0) if image.mode.startswith("I") else (float(values.min()), float(values.max()))
    return Image.fromarray(((values - low) / max(high - low, 1e-12) * 255).round().astype(np.uint8))


def thumbnail(path: Path, side: int) -> Image.Image:
    """The middle of a picture, `side` pixels square; even grey for one that cannot be read."""
    try:
        with open_image(path) as image:
            image.draft("RGB", (2 * side, 2 * side))  # A JPEG is then decoded at a fraction of its size.
            return ImageOps.fit(as_seen(image), (side, side))
    except BadImage:
        return Image.new("RGB", (side, side), "gainsboro")
