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
from core.messages import Given, Message
from core.settings import Settings, settings

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
"""By the tag's value, the turn that sets an image upright."""
Rules = tuple[int | str, ...]
SMALLEST_SIDE = 10
"""In pixels: less shows nothing, whatever the settings allow."""
Image.MAX_IMAGE_PIXELS = None  # Our own settings come first; Pillow's limit would only repeat them.


@functools.cache
def formats() -> tuple[str, ...]:
    """The formats that can be read here, by Pillow's names; HEIC needs the optional package `pillow-heif`."""
    readable = ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"]
    if features.check("avif"):
        readable.append("AVIF")
    if importlib.util.find_spec("pillow_heif"):
        importlib.import_module("pillow_heif").register_heif_opener()
        readable.append("HEIF")
    return tuple(readable)


def reading_rules() -> Rules:
    """What decides, beside its file, whether a picture can be used: limits and formats. Raises BadSettings."""
    allowed = settings()
    return (SMALLEST_SIDE, allowed.max_side, allowed.max_megapixels, allowed.max_aspect, *formats())


def decode(source: Path | bytes, name: str | None = None, least: int | None = None) -> Image.Image:
    """The image at a path, or in the bytes of a file called `name`, in mode RGB.

    A JPEG of at least twice `least` pixels on its shorter side comes at a half, a quarter or an eighth of its size, so
    that `least` pixels are left: the others are never computed, which takes a photo of 12 megapixels an eighth of the
    time. Raises BadImage with the file's name and what is wrong with it, BadSettings when a limit is misspelt.
    """
    with open_image(source, name) as image:
        if least is not None:
            image.draft(None, (least, least))
        image.load()
        return as_seen(image)


@contextmanager
def open_image(source: Path | bytes, name: str | None = None) -> Iterator[Image.Image]:
    """The image as Pillow has it, its size checked and nothing decoded yet.

    Raises BadImage, now and also for what the caller does with the image; BadSettings when a limit is misspelt.
    """
    allowed = settings()  # First: a wrong setting is no fault of the picture.
    shown = name or str(source)
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=formats()) as image:
            _check_size(shown, *image.size, allowed)
            yield image
    except (BadImage, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise _bad_image(shown, "is not a picture; remove it, or save it again as JPEG or PNG") from error
    except FileNotFoundError as error:
        raise _bad_image(shown, "is not there; check its path, or put it back") from error
    except Exception as error:  # Pillow's readers raise what they like: SyntaxError, TypeError, RuntimeError, …
        template = "is damaged ({cause}); remove it or replace it by a sound copy"
        raise _bad_image(shown, template, cause=str(error)) from error


def image_fault(error: BadImage) -> Message:
    """What is wrong with an image, without its name and full stop: "is not a picture; remove it, …"."""
    fault = dict(error.message.values).get("fault")
    return fault if isinstance(fault, Message) else error.message


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
    """Whether it has frames or pages after the first. What some cameras add to a photo (MPO) does not count."""
    return image.format != "MPO" and bool(getattr(image, "is_animated", False))


def thumbnail(path: Path, side: int) -> Image.Image:
    """The middle of a picture, `side` pixels square; plain grey for one that cannot be read. Raises BadSettings."""
    try:
        return ImageOps.fit(decode(path, least=2 * side), (side, side))
    except BadImage:
        return Image.new("RGB", (side, side), "gainsboro")


def _bad_image(name: str, fault: str, **values: Given) -> BadImage:
    return BadImage("{name} {fault}.", name=name, fault=Message(fault, **values))


def _check_size(name: str, width: int, height: int, allowed: Settings) -> None:
    """Refuse what does not fit into memory or cannot be cropped to a square, before any pixel is decoded."""
    if min(width, height) < SMALLEST_SIDE:
        template = "is {width} × {height} pixels; each side needs at least {least}. Remove it or take a larger copy"
        raise _bad_image(name, template, width=width, height=height, least=SMALLEST_SIDE)
    if max(width, height) > allowed.max_side or width * height > allowed.max_megapixels * 1_000_000:
        template = (
            "is {width} × {height} pixels; the limits are {side:,} pixels a side and {megapixels} megapixels. "
            "Scale it down"
        )
        most = {"side": allowed.max_side, "megapixels": allowed.max_megapixels}
        raise _bad_image(name, template, width=width, height=height, **most)
    if max(width, height) > allowed.max_aspect * min(width, height):
        template = "is {width} × {height} pixels; one side may be at most {most} times the other. Crop it"
        raise _bad_image(name, template, width=width, height=height, most=allowed.max_aspect)


def _scaled_grey(image: Image.Image) -> Image.Image:
    """16-bit grey by its full range, floating-point grey by its own: Pillow's own conversion clips both at 255."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0.0, neginf=0.0)
    low, high = (0.0, 65535.0) if image.mode.startswith("I") else (float(values.min()), float(values.max()))
    return Image.fromarray(((values - low) / max(high - low, 1e-12) * 255).round().astype(np.uint8))
