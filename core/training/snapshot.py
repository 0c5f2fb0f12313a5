"""A copy of all that training changes in a model, at one moment."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def changing(model: nn.Module) -> dict[str, Tensor]:
    """The trainable parameters and the BatchNorm statistics that move, by name: the tensors themselves.

    The model must be in the training mode that it is trained in (`core.backbones.freeze`).
    """
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    moving = {
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        if module.training
        for name, _ in module.named_buffers(recurse=False)
    }
    return {name: tensor for name, tensor in model.state_dict().items() if name in learning | moving}


class Snapshot:
    """What `changing(model)` held when it was last taken."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._live = changing(model)
        self._copies = {name: tensor.clone() for name, tensor in self._live.items()}

    def take(self) -> None:
        """Copy the model as it is now."""
        torch._foreach_copy_(list(self._copies.values()), list(self._live.values()))

    def restore(self) -> None:
        """Put the copied values back into the model."""
        torch._foreach_copy_(list(self._live.values()), list(self._copies.values()))

    def state(self) -> Mapping[str, Tensor]:
        """The model's state_dict as it was when the copy was taken."""
        return {**self._model.state_dict(), **self._copies}
