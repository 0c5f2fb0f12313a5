"""Where a run stands: all that the loop counts, copies of what training changes in the model, how far that moved."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from core.events import EpochEnded
from core.training.learning import Parameters
from core.training.objective import Tally


@dataclass
class TrainingState:
    """`epoch` (from 1) is under way: `steps` of it are done, and `tally` has their metrics.

    `began` is the moment (of `time.perf_counter`) at which the run would have begun, had it never been interrupted;
    `epoch_began` is in seconds since then.
    """

    epoch: int = 1
    steps: int = 0
    tally: Tally = field(default_factory=Tally)
    history: list[EpochEnded] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    epoch_began: float = 0.0

    def seconds(self) -> float:
        """How long the run has been at work."""
        return time.perf_counter() - self.began

    def seconds_in_epoch(self) -> float:
        """How long it has been at work on this epoch."""
        return self.seconds() - self.epoch_began

    def end_epoch(self, ended: EpochEnded) -> None:
        """Go on to the next epoch."""
        self.history.append(ended)
        self.epoch, self.steps, self.tally = self.epoch + 1, 0, Tally()

    @property
    def best(self) -> EpochEnded | None:
        """The epoch with the lowest cross-entropy that decides; None before the first has ended."""
        return min(self.history, key=deciding_loss, default=None)

    @property
    def kept(self) -> EpochEnded | None:
        """The epoch whose weights are to be kept so far; None before the first has ended."""
        return next((ended for ended in reversed(self.history) if ended.kept), None)

    def is_to_keep(self, ended: EpochEnded, keep: str) -> bool:
        """Whether the weights after an epoch that has just ended replace those kept before; `keep` is the recipe's."""
        return keep == "last" or self.best is None or deciding_loss(ended) < deciding_loss(self.best)

    def out_of_patience(self, patience: int) -> bool:
        """Whether the last `patience` epochs brought no better one; never for a patience of 0."""
        return bool(patience and self.best and len(self.history) - self.best.epoch >= patience)


def deciding_loss(ended: EpochEnded) -> float:
    """What makes an epoch the best: its cross-entropy in validation, or in training where nothing validates.

    Penalties are no part of it: they go on falling when the answers get worse.
    """
    return (ended.val or ended.train).cross_entropy


def changing_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The trainable parameters and the BatchNorm statistics that move, by name: the tensors themselves.

    The model must be in the training mode that it is trained in (`core.backbones.build`).
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
        self._live = changing_tensors(model)
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


class Start:
    """The weights that a run began with, of the blocks that learn."""

    def __init__(self, blocks: Parameters, head: str) -> None:
        self._head = [parameter for parameter in blocks.get(head, ()) if parameter.ndim >= 2]
        self._blocks = {
            name: [(parameter, parameter.detach().clone()) for parameter in parameters]
            for name, parameters in blocks.items()
        }

    @torch.no_grad()
    def moved(self) -> dict[str, float]:
        """How far each block is from there: ‖w − w₀‖ / ‖w₀‖ over all its parameters."""
        apart = [_length([now - then for now, then in pairs]) for pairs in self._blocks.values()]
        began = [_length([then for _, then in pairs]) for pairs in self._blocks.values()]
        shares = (torch.stack(apart) / torch.stack(began)).tolist()
        return {name: share for name, share in zip(self._blocks, shares, strict=True) if share == share}

    @torch.no_grad()
    def zeros(self) -> float | None:
        """The share of the head's weights that are exactly 0, 0…1; None where the head is frozen."""
        if not self._head:
            return None
        nothing = torch.stack([(weight == 0).sum() for weight in self._head]).sum()
        return float(nothing) / sum(weight.numel() for weight in self._head)


def _length(tensors: Sequence[Tensor]) -> Tensor:
    length: Tensor = torch.stack([tensor.norm() for tensor in tensors]).norm()
    return length
