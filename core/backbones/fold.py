"""Merge BatchNorms that only scale into the convolutions before them: fewer passes over the values.

A BatchNorm in eval mode multiplies each channel by a number and adds another, as a convolution's weights can do too.
"""

from collections import Counter
from collections.abc import Collection, Iterator

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse

from core.backbones.cut import Tracer


def fold(prefix: fx.GraphModule) -> fx.GraphModule:
    """The prefix, which learns nothing, with such weights computed once: faster, and equal up to rounding."""
    shell = fx.GraphModule(prefix, prefix.graph)  # Holds the same layers: only what is merged becomes a copy.
    folded = fuse(shell, inplace=True, no_trace=True)
    assert isinstance(folded, fx.GraphModule)
    return folded


def fold_in_training(network: nn.Module, still: Collection[nn.Module]) -> nn.Module:
    """`network` for training steps, BatchNorms of `still` computed as part of the convolutions before them.

    `still` are BatchNorms that are in eval mode whenever this is used. All layers are the network's own and learn as
    in it: gradients go through the merged weights to those of both. Equal up to rounding.

    While torch.fx traces, it changes how modules are called in the whole process: no thread may read pictures then.
    """
    if not still:
        return network
    graph = fx.Graph()
    traced = network.graph if isinstance(network, fx.GraphModule) else Tracer().trace(network)
    graph.output(graph.graph_copy(traced, {}))
    shell = fx.GraphModule(network, graph)
    for convolution, norm, merged in list(_pairs(shell, still)):
        shell.set_submodule(str(convolution.target), merged)
        norm.replace_all_uses_with(convolution)
        graph.erase_node(norm)
    shell.recompile()
    return shell


class Merged(nn.Module):
    """A convolution and the BatchNorm after it, in eval mode, as one convolution."""

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.convolution, self.norm = convolution, norm

    def forward(self, images: Tensor) -> Tensor:
        """γ (w∗x + b - μ) / σ + β = (w γ/σ) ∗ x + (b - μ) γ/σ + β, from (B, C, H, W) to (B, D, H, W)."""
        convolution, norm = self.convolution, self.norm
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None
        factor = norm.weight * torch.rsqrt(variance + norm.eps)
        shift = norm.bias - mean * factor
        if convolution.bias is not None:
            shift = shift + convolution.bias * factor
        merged: Tensor = convolution._conv_forward(images, convolution.weight * factor[:, None, None, None], shift)
        return merged


def _pairs(shell: fx.GraphModule, still: Collection[nn.Module]) -> Iterator[tuple[fx.Node, fx.Node, Merged]]:
    """Each convolution whose values go to a BatchNorm of `still` and nowhere else, that BatchNorm, and both in one."""
    uses = Counter(node.target for node in shell.graph.nodes)
    for node in shell.graph.nodes:
        before = node.args[0] if node.op == "call_module" else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        if uses[node.target] > 1 or uses[before.target] > 1:  # A layer that is used twice.
            continue
        norm, convolution = (shell.get_submodule(str(one.target)) for one in (node, before))
        if isinstance(norm, nn.BatchNorm2d) and norm in still and isinstance(convolution, nn.Conv2d):
            yield before, node, Merged(convolution, norm)
