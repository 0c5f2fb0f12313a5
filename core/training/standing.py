"""Where a run stands: all that the loop counts. What it learns is in the model and the optimizer."""

import time
from dataclasses import dataclass, field

from core.events import EpochEnded
from core.training.objective import Tally


@dataclass
class Standing:
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
        """The epoch with the lowest loss that decides; None before the first has ended."""
        return min(self.history, key=deciding_loss, default=None)


def deciding_loss(ended: EpochEnded) -> float:
    """What makes an epoch the best: its validation loss, or its training loss where nothing validates."""
    return (ended.val or ended.train).loss
