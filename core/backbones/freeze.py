"""Freeze a network except for some layers. What is frozen keeps its parameters and its BatchNorm statistics."""

from collections.abc import Iterable

from torch import nn

from core.backbones.catalogue import Backbone, lineage


def freeze(model: nn.Module, layers: frozenset[str]) -> None:
    """Let exactly the parameters of `layers` learn. A layer's path is a module that owns them, or a bare parameter."""
    for path, parameter in model.named_parameters():
        parameter.requires_grad_(path in layers or path.rpartition(".")[0] in layers)


def train_mode(model: nn.Module, backbone: Backbone, layers: frozenset[str]) -> None:
    """Put `layers` and the modules that contain them into training mode, and all others into eval mode.

    So a frozen BatchNorm keeps its statistics. A module without parameters, such as dropout, takes the mode of the
    module that contains it, or of its block if the block names it.
    """
    parts = {path for block in backbone.blocks for path in block.modules}
    with_parameters = {"", *(above for layer in backbone.layers for above in lineage(layer.path))}
    awake = {above for layer in layers for above in ("", *lineage(layer))}
    for block in backbone.blocks:
        if any(layer.path in layers for layer in block.layers):
            awake |= set(block.modules) - with_parameters

    for path, module in model.named_modules():  # A module comes after the one that contains it.
        if path not in with_parameters | parts and path.rpartition(".")[0] in awake:
            awake.add(path)
        module.training = path in awake


def switch(modules: Iterable[nn.Module], training: bool) -> None:
    """Put just these modules into training or eval mode, not what they contain."""
    for module in modules:
        module.training = training
