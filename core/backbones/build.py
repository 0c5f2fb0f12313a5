"""A backbone with its weights, and a new head for the user's classes."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models

from core.backbones import catalogue
from core.backbones.catalogue import Backbone
from core.backbones.download import unavailable
from core.backbones.construct import construct, parameters_on_meta
from core.errors import WeightsUnavailable


def build(backbone: Backbone, classes: int, pretrained: bool) -> nn.Module:
    """The network for `classes` classes, on the CPU: images (B, 3, H, W) normalised → logits (B, classes).

    Pretrained weights come from the bundled files or from torchvision's cache; nothing is downloaded here
    (`core.backbones.download`). A new head and random weights are drawn from torch's global generator, as torchvision
    draws them. Raises WeightsUnavailable when pretrained weights are missing or damaged.
    """
    model = _pretrained(backbone, classes) if pretrained else _random(backbone, classes)
    if hasattr(model, "transform_input"):
        # What torchvision sets for pretrained Inception and GoogLeNet, whose weights want another normalisation than
        # their transforms give; with random weights it does no harm, and a model is rebuilt from its recipe alone.
        setattr(model, "transform_input", True)  # noqa: B010 - nn.Module's own type admits no bool
    return model


def _random(backbone: Backbone, classes: int) -> nn.Module:
    model = construct(backbone.name, backbone.preprocessing.crop)
    model.set_submodule(backbone.head.path, _new_head(model.get_submodule(backbone.head.path), classes))
    return model


def _pretrained(backbone: Backbone, classes: int) -> nn.Module:
    with parameters_on_meta():
        model = construct(backbone.name, backbone.preprocessing.crop, initialise=False)
    file = catalogue.bundled_file(backbone)
    state = load_file(file) if file else _cached(backbone)
    wanted = model.state_dict().keys()
    state = {name: tensor for name, tensor in state.items() if name in wanted}  # Without auxiliary heads.
    missing = {name for name in wanted - state.keys() if not name.startswith(backbone.head.path + ".")}
    try:
        if missing:
            raise RuntimeError(f"{len(missing)} tensors are missing, {min(missing)} among them")
        model.load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:
        raise _damaged(backbone, error) from error
    model.set_submodule(backbone.head.path, _new_head(model.get_submodule(backbone.head.path), classes))
    return model


def _new_head(old: nn.Module, classes: int) -> nn.Module:
    """A layer like `old` with as many outputs as there are classes."""
    if isinstance(old, nn.Conv2d):  # SqueezeNet, whose own constructor draws its classifier so.
        convolution = nn.Conv2d(old.in_channels, classes, kernel_size=1)
        nn.init.normal_(convolution.weight, std=0.01)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        return convolution
    if isinstance(old, nn.Linear):
        return nn.Linear(old.in_features, classes, bias=old.bias is not None)
    raise TypeError(f"a head of type {type(old).__name__}")


def _cached(backbone: Backbone) -> dict[str, Tensor]:
    """The weights from torchvision's cache, by torchvision's own API, which loads them with weights_only=True."""
    if backbone.weights is None or catalogue.weights_state(backbone) != "cached":
        raise unavailable(backbone, "they are not on this computer yet")
    weights: Any = models.get_model_weights(backbone.name)[backbone.weights.name]
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, weights_only=True, map_location="cpu")
    except (
        Exception
    ) as error:  # torch.load tells damage by at least four kinds of exception, UnpicklingError among them
        raise _damaged(backbone, error) from error
    return state


def _damaged(backbone: Backbone, error: Exception) -> WeightsUnavailable:
    path: Path | None = catalogue.bundled_file(backbone)
    if path is None and backbone.weights:
        path = catalogue.cache_folder() / backbone.weights.file
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return WeightsUnavailable(
        f"{path} is damaged or holds other weights than those of {backbone.name} ({reason}). Delete it, so that it can "
        f"be downloaded again, or choose one of the bundled backbones: {', '.join(catalogue.BUNDLED)}."
    )
