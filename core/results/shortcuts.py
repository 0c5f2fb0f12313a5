"""Shortcuts: whether something that is not the thing itself tells the classes apart, such as the colour of the border.

A network takes the easiest way. Where all pictures of one class have a dark border, it may learn borders, and is then
right about pictures that were held out, and wrong about those to come (Geirhos and others, Shortcut Learning in Deep
Neural Networks, arXiv:2004.07780).
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.images import decode
from core.data.scan import Example
from core.errors import BadImage
from core.events import Event, Progress
from core.messages import Message

Numbers = NDArray[np.float64]
SIDE = 96
"""Pixels of the shorter side at which pictures are measured, at the least."""
EDGE = 0.04
"""Share of a side that counts as the border."""
CUES: Mapping[str, Message] = {
    "size": Message("the size of the picture"),
    "shape": Message("the shape of the picture"),
    "brightness": Message("brightness"),
    "brightness_least": Message("the brightness of the darkest places"),
    "brightness_most": Message("the brightness of the brightest places"),
    "sharpness": Message("sharpness"),
    "border": Message("the brightness of the border"),
    "border_red": Message("how red or green the border is"),
    "border_blue": Message("how blue or yellow the border is"),
    "border_even": Message("how even the border is"),
    "file": Message("the type of the file"),
}
"""What is measured of each picture, by name, and what it is called."""
STRONG = 0.8
"""The least share of pairs that a cue must tell apart to be named; 1/2 is chance."""
CHANCE = 0.001
"""How often chance may do as well, over all cues and classes together."""


@dataclass(frozen=True)
class Shortcut:
    """A `cue` that tells pictures of a class from all others, in `share` of the pairs of one and another, 0.5…1."""

    cue: str
    label: int
    share: float

    def in_words(self, classes: Sequence[str]) -> Message:
        """What is said of it."""
        template = (
            "Of two pictures, one of {name} and one of another class, {cue} alone tells which is which in {share:.0f} "
            "of 100 cases."
        )
        return Message(template, name=classes[self.label], cue=CUES[self.cue], share=100 * self.share)


def find_shortcuts(examples: Sequence[Example], classes: int) -> Generator[Event, None, tuple[Shortcut, ...]]:
    """The cues that alone tell a class from the others, the strongest first; each class and cue once at most.

    Pictures that cannot be read are passed over.
    """
    measured: list[dict[str, float]] = []
    labels: list[int] = []
    for done, example in enumerate(examples):
        yield Progress(Message("Measuring borders, brightness and sharpness"), done, len(examples))
        try:
            measured.append(cues_of(example.path))
        except BadImage:
            continue
        labels.append(example.label)
    values = {cue: np.array([one[cue] for one in measured]) for cue in CUES}
    return tuple(rank(values, np.array(labels), classes))


def cues_of(path: Path) -> dict[str, float]:
    """The numbers of one picture. Raises BadImage."""
    image = decode(path, least=SIDE)
    width, height = image.size
    scale = SIDE / min(width, height)
    image.thumbnail((max(1, round(width * scale)), max(1, round(height * scale))))
    pixels = np.asarray(image, dtype=np.float64)
    grey = pixels.mean(2)
    edge = max(1, round(EDGE * min(grey.shape)))
    is_border = np.ones(grey.shape, dtype=bool)
    is_border[edge:-edge, edge:-edge] = False
    red, green, blue = (pixels[..., channel][is_border].mean() for channel in range(3))
    return {
        "size": float(np.log(path.stat().st_size + 1)),
        "shape": float(np.log(width / height)),
        "brightness": float(grey.mean()),
        "brightness_least": float(np.quantile(grey, 0.01)),
        "brightness_most": float(np.quantile(grey, 0.99)),
        "sharpness": float(np.log(_roughness(grey) + 1e-3)),
        "border": float(grey[is_border].mean()),
        "border_red": float(red - green),
        "border_blue": float(blue - (red + green) / 2),
        "border_even": float(grey[is_border].std()),
        "file": float(sum(path.suffix.lower().encode())),
    }


def _roughness(grey: Numbers) -> float:
    """The variance of the discrete Laplace operator, a usual measure of sharpness (Pech-Pacheco and others, 2000)."""
    middle = grey[1:-1, 1:-1]
    curved = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle
    return float(curved.var())


def rank(values: Mapping[str, Numbers], labels: NDArray[np.int64], classes: int) -> list[Shortcut]:
    """Those that are strong and no chance. With two classes, what tells one tells the other too: it is said once."""
    found = []
    tries = len(values) * classes
    for cue, numbers in values.items():
        for label in range(classes if classes > 2 else 1):
            own = labels == label
            share = apart(numbers[own], numbers[~own])
            if share >= STRONG and chance_of(share, int(own.sum()), int((~own).sum())) * tries < CHANCE:
                found.append(Shortcut(cue, label, share))
    return sorted(found, key=lambda one: -one.share)


def apart(own: Numbers, others: Numbers) -> float:
    """The share of pairs that a number tells apart, in whichever direction is better, 0.5…1 (area under the curve)."""
    if not len(own) or not len(others):
        return 0.5
    both = np.sort(np.concatenate([own, others]))
    first, last = np.searchsorted(both, own, "left"), np.searchsorted(both, own, "right")
    ranks = float(((first + 1 + last) / 2).sum())
    share = (ranks - len(own) * (len(own) + 1) / 2) / (len(own) * len(others))
    return max(share, 1 - share)


def chance_of(share: float, own: int, others: int) -> float:
    """How often chance tells as much or more apart (Mann and Whitney, by its normal approximation, two-sided)."""
    deviation = sqrt((own + others + 1) / (12 * own * others))
    return erfc((share - 0.5) / deviation / sqrt(2))


def as_json(shortcuts: Sequence[Shortcut], classes: Sequence[str]) -> list[dict[str, Any]]:
    """As plain values."""
    return [
        {
            "cue": one.cue,
            "class": classes[one.label],
            "share": one.share,
            "sentence": one.in_words(classes).to_json(),
        }
        for one in shortcuts
    ]
