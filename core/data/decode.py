"""Read one image as a person sees it: upright, in colour, transparency on white, the first frame of an animation."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import BadImage

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
SIDES = (10, 10_000)
MEGAPIXELS = 40
ASPECT = 20


def decode(path: Path) -> Image.Image:
    """The image at `path` in mode RGB. Raises BadImage with the file's name and what is wrong with it."""
    try:
        with warnings.catch_warnings():
            # Limits of our own come first; Pillow's warning about large images would only repeat them.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                _check_size(path, *image.size)
                image.load()
                return _as_seen(image)
    except UnidentifiedImageError as error:
        raise BadImage(f"{path} is not a picture; remove it, or save it again as JPEG or PNG.") from error
    except FileNotFoundError as error:
        raise BadImage(f"{path} is not there; check its path, or put it back.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadImage(f"{path} is damaged ({error}); remove it or replace it by a sound copy.") from error


def _check_size(path: Path, width: int, height: int) -> None:
    """Refuse what would not fit into memory, or could not be cropped to a square, before any pixel is decoded."""
    size = f"{path} is {width} × {height} pixels"
    if min(width, height) < SIDES[0]:
        raise BadImage(f"{size}; each side needs at least {SIDES[0]}. Remove it or take a larger copy.")
    if max(width, height) > SIDES[1] or width * height > MEGAPIXELS * 1_000_000:
        raise BadImage(f"{size}; the limits are {SIDES[1]:,} pixels a side and {MEGAPIXELS} megapixels. Scale it down.")
    if max(width, height) > ASPECT * min(width, height):
        raise BadImage(f"{size}; one side may be at most {ASPECT} times the other. Crop it.")


def _as_seen(image: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):
        return _scaled_grey(upright).convert("RGB")
    if upright.has_transparency_data:
        layers = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    return upright.convert("RGB")


def _scaled_grey(image: Image.Image) -> Image.Image:
    """16-bit grey by its full range, floating-point grey by its own: Pillow's own conversion clips both at 255."""
    values = np.asarray(image, dtype=np.float32)
    low, high = (0.0, 65535.0) if image.mode.startswith("I") else (float(values.min()), float(values.max()))
    return Image.fromarray(((values - low) / max(high - low, 1e-12) * 255).round().astype(np.uint8))
