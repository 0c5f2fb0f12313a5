"""Ask a run about one picture: what it is, where the network looked, and whether it is like anything it knows."""

import functools
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torchvision.transforms.v2.functional import to_pil_image

from core.backbones import catalogue
from core.backbones.build import build
from core.backbones.catalogue import Preprocessing
from core.data.scan import file_stamp
from core.data.tensors import Normalise, plain_square
from core.errors import BadData, BadImage, ThawError
from core.events import Event
from core.results.familiar import Familiar, learn
from core.results.heat_map import Look, Map, looking
from core.results.predict import ToLogits, answering, restore
from core.results.probe import Vectors, pooled
from core.training.kept_model import KeptModel, load_model

FILE = "familiar.npz"
"""Beside the weights, what the run knows; made when it is first asked."""
SHOWN = 3
"""Training pictures that are shown as the nearest."""
AT_HAND = 4
"""Models that a process keeps ready: as many as answer side by side."""


@dataclass(frozen=True)
class Asked:
    """What a run said of a picture.

    `shares` are the probabilities of `classes`, 0…1; `maps` says where it looked for the class `label`, and where it
    would have looked before training, where that differs. `rarity` is the share of held-out pictures that are as unlike
    the training pictures, or more (`Familiar.rarity`); None where the training pictures are gone.
    """

    classes: tuple[str, ...]
    shares: tuple[float, ...]
    label: int
    maps: Mapping[str, Map]
    rarity: float | None
    nearest: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "classes": list(self.classes),
            "shares": list(self.shares),
            "label": self.label,
            "maps": {name: [[round(value, 3) for value in row] for row in rows] for name, rows in self.maps.items()},
            "rarity": self.rarity,
            "nearest": list(self.nearest),
        }


@dataclass(frozen=True)
class Ready:
    """A kept model with all that answers need."""

    kept: KeptModel
    head: nn.Module
    answer: ToLogits
    look: Look
    look_before: Look | None


def ask(weights_file: Path, picture: Path, label: int | None, features_folder: Path) -> Generator[Event, None, Any]:
    """(Asked, the square that the network saw). `label` is the class whose map is wanted, or None for the likeliest.

    Raises BadCheckpoint or BadImage.
    """
    ready = _ready(weights_file, file_stamp(weights_file))
    familiar = yield from _familiar(weights_file, ready.kept, features_folder)
    square = plain_square(ready.kept.preprocessing, picture)
    shares, vector = _answer(ready, square)
    shown = int(shares.argmax()) if label is None else label
    looks = {"after": ready.look, "before": ready.look_before}
    maps = {name: look(square, [shown])[0] for name, look in looks.items() if look}
    rarity = familiar.rarity(float(familiar.distances(vector)[0])) if familiar else None
    nearest = familiar.nearest(vector[0], SHOWN) if familiar else ()
    said = tuple(round(share, 6) for share in shares.tolist())
    return Asked(ready.kept.classes, said, shown, maps, rarity, nearest), to_pil_image(square)


def _answer(ready: Ready, square: Tensor) -> tuple[Tensor, Vectors]:
    """Probabilities (classes), and the vector that went into the last layer (1, numbers)."""
    seen: list[Tensor] = []
    watched = ready.head.register_forward_pre_hook(lambda _module, given: seen.append(pooled(given[0])))
    try:
        shares = ready.answer(square[None]).softmax(1)[0]
    finally:
        watched.remove()
    return shares, seen[0].numpy()


@functools.lru_cache(maxsize=AT_HAND)
def _ready(weights_file: Path, _stamp: object) -> Ready:
    """The model in a file, as the file is now. Raises BadCheckpoint."""
    kept = load_model(weights_file)
    network = restore(kept)
    answer = answering(kept, network)
    head = network.get_submodule(catalogue.get(kept.recipe.backbone).head.path)
    before = _before(kept)
    return Ready(kept, head, answer, _look(network, kept.preprocessing), before and _look(before, kept.preprocessing))


def _look(network: nn.Module, preprocessing: Preprocessing) -> Look:
    return looking(network, Normalise(preprocessing), preprocessing.crop)


def _before(kept: KeptModel) -> nn.Module | None:
    """The network as it began, read by the trained head; None where only the head learnt, or nothing was pretrained."""
    backbone = catalogue.get(kept.recipe.backbone)
    layers = catalogue.select(backbone, kept.recipe.trainable)
    if layers <= {backbone.head.path} or kept.recipe.weights == "random":
        return None
    try:
        network: nn.Module = build(backbone, len(kept.classes), kept.recipe.weights)
    except ThawError:  # The weights that it began with are gone.
        return None
    head = f"{backbone.head.path}."
    own = {name: tensor for name, tensor in kept.state.items() if name.startswith(head)}
    network.load_state_dict(own, strict=False)
    return network.eval()


def _familiar(weights_file: Path, kept: KeptModel, features_folder: Path) -> Generator[Event, None, Familiar | None]:
    """What the run knows, from beside its weights or looked at now; None where its pictures are gone."""
    file = weights_file.with_name(FILE)
    try:
        if file.stat().st_mtime >= weights_file.stat().st_mtime:
            return Familiar.load(file)
    except (OSError, ValueError):
        pass  # There is none yet, or it is damaged: it is made anew.
    try:
        known = yield from learn(kept, features_folder)
    except (BadData, BadImage):
        return None
    known.save(file)
    return known
