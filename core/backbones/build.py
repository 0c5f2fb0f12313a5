"""A backbone with its weights and a new head for the user's classes; freezing all of it but some layers."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode
from torchvision import models

from core.backbones.catalogue import Backbone, lineage
from core.backbones.pretrained import (
    AUXILIARY,
    COUNTER,
    NO_WEIGHTS,
    body_of,
    bundled_file,
    current_name,
    difference,
    own_file,
    own_misfit,
    own_parts,
    own_unusable,
    weights_unavailable,
)
from core.errors import WeightsUnavailable
from core.messages import Message
from core.settings import torch_cache

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Under which names people's files hold a state dict, beside what else belongs to a training run."""


def build(backbone: Backbone, classes: int, weights: str) -> nn.Module:
    """The network on the CPU: images (B, 3, H, W) after its pre-processing → logits (B, classes).

    `weights` are the recipe's. Pretrained ones come with Thaw or lie in torchvision's cache. Nothing is downloaded
    here: `core.backbones.pretrained` does that. Random weights, and every new head, come from torch's global generator.
    Raises WeightsUnavailable when weights are missing, damaged, or those of another network.
    """
    size = backbone.preprocessing.crop
    if weights == "random":
        model = construct(backbone.name, size)
    else:
        with parameters_on_meta():
            model = construct(backbone.name, size, initialise=False)
        if own := own_file(weights):
            _load_own(model, backbone, weights, own)
        else:
            _load(model, backbone)
    path = backbone.head.path
    model.set_submodule(path, _new_head(model.get_submodule(path), classes))
    return model


def _new_head(old: nn.Module, classes: int) -> nn.Module:
    """A layer like `old` for `classes` classes, as PyTorch initialises it.

    EfficientNet and MNASNet initialise their heads for 1000 outputs. With five classes, such a head begins with a
    cross-entropy of 4 (EfficientNet) or 7 (MNASNet), where chance is 1.6.
    """
    if isinstance(old, nn.Conv2d):
        return nn.Conv2d(old.in_channels, classes, kernel_size=1)
    if isinstance(old, nn.Linear):
        return nn.Linear(old.in_features, classes, bias=old.bias is not None)
    raise TypeError(f"A head of type {type(old).__name__} cannot be replaced.")


def _load(model: nn.Module, backbone: Backbone) -> None:
    """Put the pretrained weights into `model`, except those of the head. The file may lack the head."""
    path, state = _read(backbone)
    head = f"{backbone.head.path}."
    try:
        for key in list(state):  # In place: MNASNet looks for the version number that the state dict carries along.
            value = state.pop(key)
            if not key.startswith((head, *AUXILIARY)):
                state[current_name(key)] = value
        missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
        wrong = [*unexpected, *(key for key in missing if not key.startswith(head))]
        if wrong:
            raise ValueError(f"{len(wrong)} names of tensors differ, {wrong[0]} among them")
    except Exception as error:
        raise _unusable(backbone, path) from error


def _read(backbone: Backbone) -> tuple[Path, dict[str, Tensor]]:
    """The file with the pretrained weights and what it holds; torchvision's own through torchvision's weights API."""
    bundled = bundled_file(backbone)
    if backbone.weights is None:
        raise weights_unavailable(backbone, Message("torchvision has none"))
    path = bundled or torch_cache() / backbone.weights.file
    if not path.is_file():
        raise weights_unavailable(backbone, Message("the file is not there yet"))
    try:
        if bundled:
            return path, load_file(bundled)
        weights: Any = models.get_model_weights(backbone.name)[backbone.weights.name]
        state: dict[str, Tensor] = weights.get_state_dict(
            model_dir=str(path.parent), map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
        return path, state
    except Exception as error:  # A damaged pickle can raise any exception.
        raise _unusable(backbone, path) from error


def _unusable(backbone: Backbone, path: Path) -> WeightsUnavailable:
    return WeightsUnavailable(
        "The weights file {file} is damaged, or it is not {title}'s. Delete it and start again: it will be downloaded "
        "anew.",
        file=path,
        title=backbone.title,
    )


def _load_own(model: nn.Module, backbone: Backbone, weights: str, path: Path) -> None:
    """Put the tensors of a file of one's own into `model`, except those of heads, which may be of any kind."""
    if reason := own_misfit(backbone, weights):
        raise own_unusable(weights, reason)
    try:
        state = body_of(backbone, _read_own(path))
    except Exception as error:  # A damaged pickle can raise any exception.
        raise own_unusable(weights, NO_WEIGHTS) from error
    fresh = body_of(backbone, model.state_dict())
    state = {name: tensor for name, tensor in fresh.items() if name.endswith(COUNTER)} | state
    if reason := difference(backbone, _shapes(fresh), _shapes(state)):
        raise own_unusable(weights, reason)
    plain = {name: state[name].to(like.dtype, copy=True).contiguous() for name, like in fresh.items()}
    model.load_state_dict(versioned(model, model.state_dict() | plain), assign=True)


def _read_own(path: Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file, or in one of torch.save's. Runs no code of the file's."""
    try:
        return {name: tensor for part in own_parts(path) for name, tensor in load_file(part).items()}
    except SafetensorError:
        saved: Any = torch.load(path, map_location="cpu", weights_only=True)
    inside = next((saved[name] for name in WRAPPERS if isinstance(saved.get(name), dict)), saved)
    return {str(name): value for name, value in inside.items() if isinstance(value, Tensor)}


def _shapes(state: Mapping[str, Tensor]) -> dict[str, str]:
    return {name: "×".join(map(str, tensor.shape)) or "1" for name, tensor in state.items()}


def versioned(model: nn.Module, state: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """`state` with the version numbers that a state dict of torch's carries along; MNASNet loads none without."""
    own: OrderedDict[str, Tensor] = model.state_dict()  # type: ignore[assignment]
    own.clear()
    own.update(state)
    return own


DRAWING = (nn.init.kaiming_uniform_, Tensor.normal_, Tensor.uniform_)


def construct(name: str, image_size: int, *, initialise: bool = True) -> nn.Module:
    """torchvision's architecture `name` with 1000 classes and without auxiliary heads.

    `image_size` in pixels matters to ViT only. `initialise=False` is for weights that are loaded afterwards: it skips
    the slow initialisation of Inception and GoogLeNet. Other weights are drawn from torch's global generator.
    """
    settings: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        # transform_input undoes ImageNet's normalisation, as torchvision does with pretrained weights. It is on with
        # random weights too: it is not part of a state dict, so a model must not depend on how it was once built.
        settings = {"aux_logits": False, "transform_input": True, "init_weights": initialise}
    elif name.startswith("vit_"):
        settings = {"image_size": image_size}
    model: nn.Module = models.get_model(name, weights=None, **settings)
    return model


class Unfilled(TorchFunctionMode):
    """Inside, nothing is drawn at random. On the meta device that would do nothing, but take time."""

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call `func`, unless it only fills a tensor."""
        named = kwargs or {}
        return (*args, *named.values())[0] if func in DRAWING else func(*args, **named)


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Inside, parameters of new modules have a shape but neither memory nor values; buffers are real.

    `torch.device("meta")` is no way to do this, because RegNet's constructor computes its widths with tensors. It acts
    on the whole process.
    """

    def to_meta(_module: nn.Module, _name: str, parameter: Tensor | None) -> nn.Parameter | None:
        return None if parameter is None else nn.Parameter(parameter.to("meta"), parameter.requires_grad)

    # PyTorch's annotation forgets that a hook may return what is to be registered instead.
    hook = register_module_parameter_registration_hook(to_meta)  # type: ignore[arg-type]
    try:
        with Unfilled():
            yield
    finally:
        hook.remove()


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
