"""torchvision's own constructors, called the way Thaw needs them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode
from torchvision import models

DRAWING = (nn.init.kaiming_uniform_, Tensor.normal_, Tensor.uniform_)


def construct(name: str, image_size: int, *, initialise: bool = True) -> nn.Module:
    """torchvision's architecture `name` with 1000 classes and without auxiliary heads.

    `image_size` in pixels matters to ViT only. `initialise=False` skips the slow initialisation of Inception and
    GoogLeNet, for weights that are loaded anyway. Other weights are drawn from torch's global generator.
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
    """Inside, nothing is drawn at random: on the meta device that does nothing, slowly."""

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call `func`, unless it only fills a tensor."""
        named = kwargs or {}
        return (*args, *named.values())[0] if func in DRAWING else func(*args, **named)


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Inside, parameters of new modules have a shape but neither memory nor values; buffers are real.

    `torch.device("meta")` would not do: RegNet's constructor computes its widths with tensors. The switch is
    process-wide.
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
