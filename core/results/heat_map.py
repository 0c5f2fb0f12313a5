"""Where a network looked: how much each place of a picture spoke for a class (Grad-CAM).

The map is made of the last values that still have places. Each channel counts by the mean, over the places, of what the
class would gain by it; what speaks against the class is left out. Where the network averages over the places and then
has one linear layer, this is the class activation map itself. Source: Selvaraju and others, Grad-CAM: Visual
Explanations from Deep Networks via Gradient-based Localization, arXiv:1610.02391, section 3.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from core.backbones.cut import trace
from core.data.tensors import Normalise

TOKENS_FROM = "ln_1"
"""A vision transformer answers from one token. The last place where all others still speak is the first
normalisation of its last block."""
Map = list[list[float]]
"""Rows of values 0…1, the strongest place 1; all 0 where nothing in the picture speaks for the class."""
Look = Callable[[Tensor, Sequence[int]], list[Map]]
"""From a square, uint8 (3, H, W), and classes to a map for each of these."""


def looking(model: nn.Module, normalise: Normalise, size: int) -> Look:
    """What makes the maps of a network for squares of `size` pixels; the network must be in eval mode."""
    traced = trace(model, size)
    network = _Watched(model, traced.graph, last_with_places(traced.graph, traced.shapes))

    def look(square: Tensor, labels: Sequence[int]) -> list[Map]:
        with torch.enable_grad():
            logits: Tensor = network.run(normalise(square[None]))[0]
            seen = network.seen
            gains = [torch.autograd.grad(logits[label], seen, retain_graph=True)[0] for label in labels]
        return [_as_map(seen.detach(), gain) for gain in gains]

    return look


class _Watched(fx.Interpreter):
    """The network up to its answer; `seen` is what one node gave, from which the gradient begins."""

    def __init__(self, model: nn.Module, graph: fx.Graph, place: fx.Node) -> None:
        super().__init__(model, graph=graph)
        self._place = place
        self.seen = torch.empty(0)

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n is self._place:
            self.seen = value = value.detach().requires_grad_()
        return value


def last_with_places(graph: fx.Graph, shapes: dict[fx.Node, tuple[int, ...] | None]) -> fx.Node:
    """The last node whose values still lie at places of the picture."""
    found: list[fx.Node] = [node for node in graph.nodes if _has_places(node, shapes[node] or ())]
    return found[-1]


def _has_places(node: fx.Node, shape: tuple[int, ...]) -> bool:
    if str(node.target).endswith(TOKENS_FROM):
        return True
    return node.op != "placeholder" and len(shape) == 4 and shape[0] == 2 and min(shape[2:]) > 1


def _as_map(seen: Tensor, gain: Tensor) -> Map:
    """A map, (1, C, H, W) or (1, 1 + H·W, C) tokens, to rows."""
    if seen.ndim == 3:  # The first token belongs to no place.
        side = round((seen.shape[1] - 1) ** 0.5)
        seen, gain = (one[:, 1:].transpose(1, 2).reshape(1, -1, side, side) for one in (seen, gain))
    map_ = (gain.mean((2, 3), keepdim=True) * seen).sum(1)[0].relu()
    strongest = float(map_.max())
    rows: Map = (map_ / strongest if strongest > 0 else map_).tolist()
    return rows
