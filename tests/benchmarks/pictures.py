"""The pictures that benchmarks train on, made from `sample_data/stamps`, the same ones every time."""

import io
import random
import shutil
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.scan import Example, read_image_folder
from core.data.split import Draw, split
from tests.benchmarks.job import ROOT

STAMPS = ROOT / "sample_data" / "stamps"
PHOTO = (500, 375)
"""Width and height in pixels."""
TRAIN, VAL = 245, 155
GRAIN = 10.0
"""Standard deviation of the noise, of 255: a photo then takes as many bytes as a camera's, and as long to decode."""
THUMBNAIL = 64
"""Side in pixels of the small pictures."""


def make_photos(target: Path) -> None:
    """Write 245 photos into target/train and 155 into target/val, in class folders.

    Each shows a stamp, scaled and shifted a little. The photos of one stamp are all on one side of the split, so that
    the validation accuracy says something.
    """
    drawn = split(read_image_folder(STAMPS), Draw(VAL / (TRAIN + VAL), seed=0))
    draw, noise = random.Random(0), np.random.default_rng(0)
    for part, examples, count in (("train", drawn.train, TRAIN), ("val", drawn.val, VAL)):
        mixed = draw.sample(examples, len(examples))
        for number, example in zip(range(count), cycle(mixed), strict=False):
            path = target / part / example.path.parent.name / f"{number:03}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            _photo(example.path, draw, noise).save(path, quality=90)


def _photo(stamp: Path, draw: random.Random, noise: np.random.Generator) -> Image.Image:
    """The stamp on white, about as high as the photo and near its middle, with grain."""
    photo = Image.new("RGB", PHOTO, "white")
    side = round(PHOTO[1] * draw.uniform(0.85, 1.0))
    left, top = ((length - side) // 2 + draw.randint(-15, 15) for length in PHOTO)
    with Image.open(stamp) as picture:
        photo.paste(picture.convert("RGB").resize((side, side)), (left, top))
    pixels = np.asarray(photo) + noise.normal(0, GRAIN, (PHOTO[1], PHOTO[0], 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def copy_split(source: Path, target: Path) -> None:
    """Copy the pictures of `source` into target/train and target/val, in class folders, split as Thaw splits them."""
    folder = read_image_folder(source)
    drawn = split(folder, Draw(val_fraction=0.25, seed=0))
    for part, examples in (("train", drawn.train), ("val", drawn.val)):
        for number, example in enumerate(examples):
            path = target / part / folder.classes[example.label] / f"{number:05}{example.path.suffix.lower()}"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(example.path, path)


def make_many(target: Path, count: int) -> None:
    """Write `count` small pictures into class folders; all files differ, and so do all features' keys.

    What differs is a comment inside the file: equal files would be computed once.
    """
    examples: Sequence[Example] = read_image_folder(STAMPS).train
    thumbnails = [(example.path.parent.name, _thumbnail(example.path)) for example in examples]
    for number, (name, jpeg) in zip(range(count), cycle(thumbnails), strict=False):
        path = target / name / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_with_comment(jpeg, f"{number:08}".encode()))


def _thumbnail(path: Path) -> bytes:
    written = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").resize((THUMBNAIL, THUMBNAIL)).save(written, "JPEG")
    return written.getvalue()


def _with_comment(jpeg: bytes, text: bytes) -> bytes:
    """The same picture with a comment segment after the two bytes that every JPEG begins with."""
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]
