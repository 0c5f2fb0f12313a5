"""How large the weights of a kept head are, which is where L1 and L2 differ. Read without torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from core.backbones import catalogue
from core.errors import BadCheckpoint
from core.recipe import Recipe

BARS = 61
"""Bars of the histogram: an odd number, so that the one in the middle is about 0."""
NEAR = 1e-3
"""The size below which a weight that is not 0 counts as near it."""


@dataclass(frozen=True)
class HeadWeights:
    """A histogram of `count` weights: as many `edges` as `counts` and one more; `zeros` and `near` are shares, 0…1."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    count: int
    zeros: float
    near: float


def head_weights(file: Path, recipe: Recipe) -> HeadWeights:
    """Those of a kept model. Raises BadCheckpoint where the file cannot be read or has no such head."""
    name = f"{catalogue.get(recipe.backbone).head.path}.weight"
    try:
        with safe_open(file, framework="numpy") as opened:
            weights = opened.get_tensor(name)
    except (OSError, SafetensorError) as error:
        template = "{path} cannot be read as saved weights ({cause}); train the run again."
        raise BadCheckpoint(template, path=file, cause=str(error)) from error
    sizes = np.abs(weights)
    reach = float(sizes.max()) or 1.0
    counts, edges = np.histogram(weights, bins=BARS, range=(-reach, reach))
    return HeadWeights(
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        count=weights.size,
        zeros=float((weights == 0).mean()),
        near=float(((sizes < NEAR) & (sizes > 0)).mean()),
    )
