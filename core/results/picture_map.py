"""The pictures as points: those that a network finds alike lie together, before training and after it."""

import base64
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.data.images import thumbnail
from core.events import Event, Progress
from core.messages import Message
from core.results.probe import Vectors, embed, thinned, unit
from core.training.kept_model import load_changes, restore_into
from core.training.setup import prepare

MOST = 1500
"""Pictures that a map shows; of more, every so manieth is shown."""
SIDE, COLUMNS = 72, 32
"""Pixels of a thumbnail's side, and thumbnails in a row of the sheet that has all of them."""
AT_ONCE = 50
"""Thumbnails between two events."""


@dataclass(frozen=True)
class Sheet:
    """Thumbnails, `side` pixels square, `columns` in a row of one JPEG, which is a data URL: one thing to send."""

    url: str
    side: int
    columns: int


@dataclass(frozen=True)
class PictureMap:
    """A point (x, y) for each picture, `before` and `after` training, on the same two axes.

    `said` is what the kept model takes each for, and `held_out` whether it was held out from training. `explained` is
    the share of all distances, squared, that the two axes show, 0…1. `sheet` has the pictures' thumbnails.
    """

    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: tuple[int, ...]
    said: tuple[int, ...]
    held_out: tuple[bool, ...]
    before: tuple[tuple[float, float], ...]
    after: tuple[tuple[float, float], ...]
    explained: float
    sheet: Sheet

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def picture_map(weights_file: Path, features_folder: Path) -> Generator[Event, None, PictureMap]:
    """The map of a run's training and validation pictures. Raises BadCheckpoint, BadData or BadImage."""
    kept = load_changes(weights_file)
    setup = yield from prepare(kept.recipe, features_folder)
    everything = [*setup.split.train, *setup.split.val]
    shown = thinned(range(len(everything)), MOST)
    examples = [everything[index] for index in shown]
    before, _ = yield from embed(setup, examples)
    restore_into(setup.changing, kept.state)
    after, shares = yield from embed(setup, examples)
    points, explained = on_two_axes(np.concatenate([before, after]))
    sheet = yield from sheet_of([one.path for one in examples])
    said = tuple(int(label) for label in shares.argmax(1))
    half = len(examples)
    return PictureMap(
        classes=kept.classes,
        paths=tuple(str(one.path) for one in examples),
        labels=tuple(one.label for one in examples),
        said=said,
        held_out=tuple(index >= len(setup.split.train) for index in shown),
        before=points[:half],
        after=points[half:],
        explained=explained,
        sheet=sheet,
    )


def sheet_of(paths: Sequence[Path]) -> Generator[Progress, None, Sheet]:
    """The thumbnails of pictures, in their order. Raises BadSettings."""
    sheet = Image.new("RGB", (SIDE * COLUMNS, SIDE * -(-len(paths) // COLUMNS)))
    for number, path in enumerate(paths):
        if number % AT_ONCE == 0:
            yield Progress(Message("Making small pictures"), number, len(paths))
        sheet.paste(thumbnail(path, SIDE), (number % COLUMNS * SIDE, number // COLUMNS * SIDE))
    file = BytesIO()
    sheet.save(file, "JPEG", quality=85)
    url = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
    return Sheet(url, SIDE, COLUMNS)


def on_two_axes(vectors: Vectors) -> tuple[tuple[tuple[float, float], ...], float]:
    """Vectors as points on the two axes along which they differ most (principal components), and the share shown.

    All vectors are made as long as 1 first, since networks tell pictures apart by directions. Of each axis, the end at
    which the largest part of a vector lies is the positive one, so that the same vectors give the same map.
    """
    directions = unit(vectors)
    centred = directions - directions.mean(0)
    left, strengths, axes = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(axes[:2][np.arange(len(axes[:2])), np.abs(axes[:2]).argmax(1)])
    flat = left[:, :2] * strengths[:2] * np.where(signs == 0, 1, signs)
    whole = float((strengths**2).sum())
    explained = float((strengths[:2] ** 2).sum()) / whole if whole else 1.0
    points = tuple((round(float(row[0]), 4), round(float(row[-1]), 4)) for row in flat)
    return points, explained
