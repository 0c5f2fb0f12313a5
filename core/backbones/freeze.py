"""Freeze and thaw: a frozen layer changes nothing, neither its parameters nor the statistics of its BatchNorm."""

from torch import nn

from core.backbones.catalogue import Backbone


def freeze(model: nn.Module, layers: frozenset[str]) -> None:
    """Let gradients reach the parameters of `layers`, and no others.

    A layer is a module by its path, and stands for what it owns directly, or a bare parameter by its name.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in layers or name.rpartition(".")[0] in layers)


def train_mode(model: nn.Module, backbone: Backbone, layers: frozenset[str]) -> None:
    """Training mode for trainable layers, eval mode for the rest: BatchNorm there uses its statistics as they are.

    Dropout and the like own no parameters: they are on when something is trainable in the smallest module around them
    that owns some, and at most in their block.
    """
    model.eval()
    owners = {name.rpartition(".")[0] for name, _ in model.named_parameters()}
    for block in backbone.blocks:
        thawed = frozenset(layer.path for layer in block.layers) & layers
        for path in block.modules if thawed else ():
            for name, module in _within(model, path):
                module.training = name in layers if name in owners else _around(name, path, owners, thawed)


def _within(model: nn.Module, path: str) -> list[tuple[str, nn.Module]]:
    """The module at `path` and all below it; none where `path` is a bare parameter."""
    parameters = dict(model.named_parameters())
    return [] if path in parameters else list(model.get_submodule(path).named_modules(prefix=path))


def _around(name: str, top: str, owners: set[str], thawed: frozenset[str]) -> bool:
    """Whether something is trainable in the smallest module around `name`, at most `top`, that has parameters.

    True where there is none: `name` is then a part of its own of a block that has something trainable.
    """
    while True:
        if any(is_within(owner, name) for owner in owners):
            return any(is_within(layer, name) for layer in thawed)
        if name == top:
            return True
        name = name.rpartition(".")[0]


def is_within(path: str, module: str) -> bool:
    """Whether the module or parameter at `path` is `module` or a part of it."""
    return path == module or path.startswith(module + ".")
