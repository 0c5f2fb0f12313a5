"""How alike a picture is to those that a run was trained on: what lets a model say "I don't know".

A picture's distance is 1 less the mean cosine between its vector and those of its NEAREST training pictures (deep
nearest neighbours: Sun and others, arXiv:2204.06507, who take the k-th alone). The pictures that were held out say
which distances are usual: a picture that is further than nearly all of them is unlike what the run knows.
"""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core import files
from core.events import Event
from core.results.probe import MOST, Vectors, embed, thinned, unit
from core.training.kept_model import KeptModel, restore_into
from core.training.setup import prepare

NEAREST = 5


@dataclass(frozen=True)
class Familiar:
    """What a run knows: `vectors`, each 1 long, of training pictures, and the `usual` distances of held-out ones."""

    vectors: Vectors
    paths: tuple[str, ...]
    usual: NDArray[np.float32]

    def distances(self, vectors: Vectors) -> NDArray[np.float32]:
        """Of each of `vectors` (pictures, numbers), 0 to 2."""
        alike = unit(vectors) @ self.vectors.T
        count = min(NEAREST, alike.shape[1])
        found: NDArray[np.float32] = (1 - np.sort(alike, axis=1)[:, -count:].mean(1)).astype(np.float32)
        return found

    def rarity(self, distance: float) -> float:
        """The share of held-out pictures that are at least as far, 0…1. Below a twentieth, a picture is unlike them."""
        return float((self.usual >= distance).mean()) if len(self.usual) else 1.0

    def nearest(self, vector: Vectors, count: int) -> tuple[str, ...]:
        """The training pictures most alike, the nearest first."""
        order = np.argsort(-(unit(vector[None]) @ self.vectors.T)[0], kind="stable")
        return tuple(self.paths[index] for index in order[:count])

    def save(self, file: Path) -> None:
        """Write it to `file`, whole or not at all."""
        arrays = {"vectors": self.vectors.astype(np.float16), "paths": np.array(self.paths), "usual": self.usual}

        def write(partial: Path) -> None:
            with partial.open("wb") as opened:
                np.savez(opened, **arrays)  # type: ignore[arg-type]

        files.write_aside(file, write)

    @classmethod
    def load(cls, file: Path) -> "Familiar":
        """What `save` wrote. Raises OSError or ValueError."""
        with np.load(file, allow_pickle=False) as kept:
            vectors, paths = kept["vectors"].astype(np.float32), tuple(map(str, kept["paths"]))
            return cls(unit(vectors), paths, kept["usual"].astype(np.float32))


def learn(kept: KeptModel, features_folder: Path) -> Generator[Event, None, Familiar]:
    """Look at a run's pictures as its kept model sees them. Raises BadCheckpoint, BadData or BadImage."""
    setup = yield from prepare(kept.recipe, features_folder)
    restore_into(setup.changing, kept.state)
    known = thinned(setup.split.train, MOST)
    held_out = thinned(setup.split.val, MOST)
    vectors, _ = yield from embed(setup, [*known, *held_out])
    alone = Familiar(unit(vectors[: len(known)]), tuple(str(one.path) for one in known), np.empty(0, np.float32))
    usual = alone.distances(vectors[len(known) :]) if held_out else alone.usual
    return Familiar(alone.vectors, alone.paths, np.sort(usual))
