"""Pictures as the numbers that go into the last layer of a network: what it has made of each of them."""

from collections.abc import Generator, Sequence

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

Vectors = NDArray[np.float32]
"""A row for each picture."""
LOOKING = Message("Looking at every picture")


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
                shares.append(answers_to(setup, inputs).softmax(1).cpu())
            yield Progress(LOOKING, done, len(chosen))
    finally:
        watched.remove()
    return torch.cat(vectors).numpy(), torch.cat(shares).numpy()


def pooled(inputs: Tensor) -> Tensor:
    """What goes into a last layer, as float32 (B, numbers) on the CPU."""
    values = inputs.detach().float().cpu()
    return values.flatten(2).mean(2) if values.ndim == 4 else values.flatten(1)
