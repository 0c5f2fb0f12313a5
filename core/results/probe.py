"""Pictures as the numbers that go into a network's last layer, and a classifier of these numbers with a closed form.

The classifier is regularised least squares, with one target of 0 or 1 for each class. On what a pretrained network has
made of pictures it does about as well as logistic regression, and it answers at once, also about each picture as if it
had been left out (Rifkin and Lippert, Notes on Regularized Least Squares, 2007, sections 3 and 4). Nothing is drawn at
random.
"""

from collections.abc import Generator, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.backbones import catalogue
from core.backbones.build import switch
from core.data.scan import Example
from core.data.tensors import cut_into_batches
from core.events import Event, Progress
from core.messages import Message
from core.training.loop import answers_to
from core.training.setup import Setup

Item = TypeVar("Item")
Vectors = NDArray[np.float32]
"""A row for each picture."""
LOOKING = Message("Looking at every picture")
Numbers = NDArray[np.float64]
Labels = NDArray[np.int64]
PENALTY = 1.0
"""How much squared weights count beside squared errors, for vectors of `standardised`.

Of 0.03, 0.1, 0.3, 1 and 3, it found most of eight wrong labels planted among the stamps (40 seeds)."""
MOST = 4000
"""Pictures that are looked at; of more, every so manieth is (`thinned`)."""


def thinned(items: Sequence[Item], most: int) -> Sequence[Item]:
    """At most `most` of them, evenly from all."""
    return items[:: max(1, -(-len(items) // most))]


def embed(setup: Setup, examples: Sequence[Example]) -> Generator[Event, None, tuple[Vectors, Vectors]]:
    """The vectors (pictures, numbers) of `examples` as the network is now, and its answers, 0…1 (pictures, classes).

    The last layer may be a convolution over a map of places; its vector is then the mean over the places. Raises
    BadImage.
    """
    switch(setup.everything.awake, training=False)
    chosen = cut_into_batches(range(len(examples)), setup.inputs.validated_at_once)
    vectors: list[Tensor] = []
    shares: list[Tensor] = []
    head = setup.model.get_submodule(catalogue.get(setup.recipe.backbone).head.path)
    watched = head.register_forward_pre_hook(lambda _module, given: vectors.append(pooled(given[0])))
    try:
        for done, (inputs, _labels) in enumerate(setup.inputs.plain(examples, chosen), start=1):
            with torch.inference_mode():
                shares.append(answers_to(setup, setup.inputs.network, inputs).softmax(1).cpu())
            yield Progress(LOOKING, done, len(chosen))
    finally:
        watched.remove()
    return torch.cat(vectors).numpy(), torch.cat(shares).numpy()


def pooled(inputs: Tensor) -> Tensor:
    """What goes into a last layer, as float32 (B, numbers) on the CPU."""
    values = inputs.detach().float().cpu()
    return values.flatten(2).mean(2) if values.ndim == 4 else values.flatten(1)


def unit(vectors: Vectors) -> Vectors:
    """The same directions, each 1 long."""
    sizes = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: Vectors = (vectors / np.where(sizes > 0, sizes, 1)).astype(np.float32)
    return directions


def standardised(vectors: Vectors) -> Numbers:
    """Each number with mean 0 and deviation 1 over all pictures, then every vector 1 long on average (root mean)."""
    spread = vectors.std(0)
    centred = (vectors - vectors.mean(0)) / np.where(spread > 0, spread, 1)
    scaled: Numbers = centred.astype(np.float64) / np.sqrt(vectors.shape[1])
    return scaled


def targets(labels: Labels, classes: int) -> Numbers:
    """1 for a picture's own class and 0 for the others: (pictures, classes)."""
    rows: Numbers = np.eye(classes)[labels]
    return rows


def leave_one_out(inputs: Numbers, labels: Labels, classes: int) -> Numbers:
    """How much each picture looks like each class, about 0…1, to a classifier that has learnt all the others.

    With H for what maps targets to answers, the answer without picture i is (Hy − hᵢᵢ·y)ᵢ / (1 − hᵢᵢ). The mean that is
    taken off the inputs and the targets includes the picture itself.
    """
    centred = inputs - inputs.mean(0)
    wanted = targets(labels, classes)
    usual = wanted.mean(0)
    left, sizes, _right = np.linalg.svd(centred, full_matrices=False)
    weighted = left * (sizes**2 / (sizes**2 + PENALTY))
    own = (weighted * left).sum(1, keepdims=True)
    errors = wanted - usual
    answers: Numbers = (weighted @ (left.T @ errors) - own * errors) / (1 - own) + usual
    return answers


def taught(inputs: Numbers, labels: Labels, classes: int, asked: Numbers) -> Numbers:
    """How much `asked` (pictures, numbers) look like each class to a classifier that has learnt `inputs`."""
    middle, wanted = inputs.mean(0), targets(labels, classes)
    usual = wanted.mean(0)
    centred = inputs - middle
    alike = centred @ centred.T + PENALTY * np.eye(len(inputs))
    answers: Numbers = (asked - middle) @ (centred.T @ np.linalg.solve(alike, wanted - usual)) + usual
    return answers
