"""BatchNorm statistics of the whole training set, for the weights as they are now.

In training, BatchNorm keeps running means of its batches' statistics. They lag behind weights that move fast in few
steps: a network trained from scratch on a hundred pictures then answers at random in eval mode, while it is right in
training mode. So the statistics are estimated anew before they are used ("precise BatchNorm": Wu and Johnson,
Rethinking "Batch" in BatchNorm, arXiv:2105.07576, section 3).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass
class Seen:
    """The values that a layer has seen, channel by channel: their count, mean, and summed squared deviations."""

    count: int = 0
    mean: Tensor | float = 0.0
    deviations: Tensor | float = 0.0

    def add(self, count: int, mean: Tensor, variance: Tensor) -> None:
        """Count in a batch; its `variance` is over `count` − 1 (Chan, Golub and LeVeque, 1979)."""
        total = self.count + count
        apart = mean - self.mean
        self.deviations = self.deviations + variance * (count - 1) + apart.square() * (self.count * count / total)
        self.mean = self.mean + apart * (count / total)
        self.count = total

    def after(self, layer: _BatchNorm, given: tuple[Tensor, ...], _output: Tensor) -> None:
        """Count in the batch that `layer` has just normalised; with a momentum of 1 its running statistics are it."""
        assert layer.running_mean is not None
        assert layer.running_var is not None
        exact = torch.float32 if layer.running_mean.device.type == "mps" else torch.float64
        self.add(given[0].numel() // given[0].shape[1], layer.running_mean.to(exact), layer.running_var.to(exact))


@torch.no_grad()
def estimate(layers: Iterable[_BatchNorm], batches: Iterable[Callable[[], object]]) -> Iterator[int]:
    """Set the statistics of `layers` to mean and variance over all `batches`, each of which runs the network once.

    The layers must be in training mode, all others in eval mode: every batch is then normalised by its own statistics,
    as in training. Yields the number of batches that are done; the new statistics are there after the last one, and the
    old ones again where that does not come. How many batches a layer has been trained on stays as it is.
    """
    seen = {layer: Seen() for layer in layers}
    before = [(layer, layer.momentum, layer.num_batches_tracked, _copies(layer)) for layer in seen]
    with ExitStack() as hooks:
        try:
            for layer, statistics in seen.items():
                layer.momentum, layer.num_batches_tracked = 1.0, None
                hooks.enter_context(layer.register_forward_hook(statistics.after))
            for done, run in enumerate(batches, start=1):
                run()
                yield done
        finally:
            for layer, momentum, tracked, statistics_before in before:
                layer.momentum, layer.num_batches_tracked = momentum, tracked
                _set(layer, *statistics_before)
    for layer, statistics in seen.items():
        if statistics.count > 1:
            deviations = torch.as_tensor(statistics.deviations)
            _set(layer, torch.as_tensor(statistics.mean), deviations / (statistics.count - 1))


def _copies(layer: _BatchNorm) -> tuple[Tensor, Tensor]:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return layer.running_mean.clone(), layer.running_var.clone()


def _set(layer: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)
