"""Everything that can go wrong, as sentences for the person on the page.

    ThawError
    ├── BadRecipe           one or more settings of a recipe are wrong; lists every fault
    ├── BadData             an image folder cannot be trained on
    ├── BadImage            one image file cannot be read
    ├── WeightsUnavailable  pretrained weights are neither bundled, nor cached, nor downloadable
    ├── BadCheckpoint       saved weights are damaged or belong to something else
    ├── Diverged            the loss became infinite or not a number
    ├── UnknownRun          no run has that number
    ├── NotNow              a run is in no state for what was asked of it
    ├── TakenOver           a run that another process has taken up meanwhile
    ├── TrackerUnavailable  TensorBoard or MLflow cannot be told of a run
    ├── StoreUnavailable    the database of runs cannot be reached, or is locked, or its disk is full
    └── RunFailed           a run ended early; the store has its sentence and the traceback

Each message says what is wrong, which value, and what to do; it needs no traceback to be understood.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class ThawError(Exception):
    """Root of the tree: `str(error)` is one or more sentences that can be shown as they are."""


@dataclass(frozen=True)
class Fault:
    """One wrong setting: the recipe's field ("optimizer.lr"), the value found there, and what would be right."""

    field: str
    value: object
    advice: str

    def __str__(self) -> str:
        return f"{self.field} = {self.value!r}: {self.advice}"


class BadRecipe(ThawError):
    """A recipe that cannot be run; `faults` holds every fault, not the first only."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class BadData(ThawError):
    """An image folder that cannot be trained on."""


class BadImage(ThawError):
    """An image file that cannot be read."""


class WeightsUnavailable(ThawError):
    """Pretrained weights that are neither bundled, nor in the cache, nor to be downloaded now."""


class BadCheckpoint(ThawError):
    """Saved weights that are damaged, or that belong to another backbone or to other classes."""


class Diverged(ThawError):
    """Training whose loss became infinite or not a number."""


class UnknownRun(ThawError):
    """A run number that the store does not hold."""


class NotNow(ThawError):
    """Something asked of a run that its present state does not allow."""


class TakenOver(ThawError):
    """A run that this process worked on, and that another one has taken up meanwhile."""


class TrackerUnavailable(ThawError):
    """A tool for following runs whose package is absent, or whose place cannot be reached."""


class StoreUnavailable(ThawError):
    """A database of runs that cannot be used at the moment."""


class RunFailed(ThawError):
    """A run that ended early, whatever the cause; the store holds the traceback."""
