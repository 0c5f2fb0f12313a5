"""Everything that can go wrong, as sentences for the person on the page.

    ThawError
    ├── BadSettings         variables of the environment are wrong; lists every fault
    ├── BadRecipe           one or more settings of a recipe are wrong; lists every fault
    ├── BadData             an image folder cannot be trained on
    ├── BadImage            one image file cannot be read
    ├── WeightsUnavailable  pretrained weights are neither bundled, nor cached, nor downloadable
    ├── FeaturesUnavailable what a frozen part makes of the pictures cannot be kept
    ├── BadCheckpoint       saved weights are damaged or belong to something else
    ├── Diverged            the loss became infinite or not a number
    ├── UnknownRun          no run has that number
    ├── NotNow              a run is in no state for what was asked of it
    ├── TakenOver           a job that another process has taken up meanwhile
    ├── TrackerUnavailable  TensorBoard or MLflow cannot be told of a run
    ├── StoreUnavailable    the database cannot be reached, is locked, or its disk is full
    │   ├── StoreBusy       an earlier version of Thaw trains; its run is waited for
    │   └── Outdated        another version of Thaw has changed the schema of the database
    └── JobFailed           a job ended early; the store has its sentence and the traceback

Each message says what is wrong, which value, and what to do; it needs no traceback to be understood. `explain` makes
such a sentence of any other exception.
"""

import errno
from collections.abc import Sequence
from dataclasses import dataclass

from core.messages import Given, Message


class ThawError(Exception):
    """Root of the tree: `message`, and `str(error)`, is one or more sentences that can be shown as they are.

    Made from a message, or from what a message is made from: `BadData("{name} is empty.", name="cats")`.
    """

    def __init__(self, one: str | Message, many: str | None = None, /, **values: Given) -> None:
        self.message = one if isinstance(one, Message) else Message(one, many, **values)
        super().__init__(str(self.message))


@dataclass(frozen=True)
class Fault:
    """One wrong setting: its field ("optimizer.lr"), the value found there, and what would be right."""

    field: str
    value: object
    advice: Message

    def message(self) -> Message:
        """One sentence: field, value, advice."""
        return Message("{field} = {value}: {advice}", field=self.field, value=repr(self.value), advice=self.advice)

    def __str__(self) -> str:
        return str(self.message())


class _Faulty(ThawError):
    """Several faults at once, each on a line of its own."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(Message("{faults:lines}", faults=[fault.message() for fault in faults]))


class BadSettings(_Faulty):
    """Variables of the environment that are wrong; `faults` holds every fault, not the first only."""


class BadRecipe(_Faulty):
    """A recipe that cannot be run; `faults` holds every fault, not the first only."""


class BadData(ThawError):
    """An image folder that cannot be trained on."""


class BadImage(ThawError):
    """An image file that cannot be read."""


class WeightsUnavailable(ThawError):
    """Pretrained weights that are neither bundled, nor in the cache, nor to be downloaded now."""


class FeaturesUnavailable(ThawError):
    """Features that cannot be kept, and so have to be computed in every epoch."""


class BadCheckpoint(ThawError):
    """Saved weights that are damaged, or that belong to another backbone or to other classes."""


class Diverged(ThawError):
    """Training whose loss became infinite or not a number."""


class UnknownRun(ThawError):
    """A run number that the store does not hold."""


class NotNow(ThawError):
    """Something asked of a run that its present state does not allow."""


class TakenOver(ThawError):
    """A job that this process worked on, and that another one has taken up meanwhile."""


class TrackerUnavailable(ThawError):
    """A tool for following runs whose package is absent, or whose place cannot be reached."""


class StoreUnavailable(ThawError):
    """A database that cannot be used at the moment."""


class StoreBusy(StoreUnavailable):
    """A database that cannot be brought up to date yet, because an earlier version of Thaw trains."""


class Outdated(StoreUnavailable):
    """A database whose schema another version of Thaw has changed; waiting does not help."""


class JobFailed(ThawError):
    """A job that ended early, whatever the cause; the store holds the traceback."""


OUT_OF_MEMORY = Message(
    "The machine ran out of memory. Choose a smaller batch size, a smaller image size, a smaller backbone, or fewer "
    "trainable blocks, close other programs, and try again."
)
DISK_FULL = Message("The disk is full. Free some space and try again.")
_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")
"""What torch (CPU, CUDA, cuBLAS, MPS) and the operating systems say of it, in lower case."""
_NO_ROOM = ("no space left", "disk quota exceeded", "unexpected pos", "database or disk is full")
"""The same of a full disk. "unexpected pos" is torch's word when it closes a file that could not be written whole."""


def explain(error: BaseException) -> Message:
    """What happened and what to do, as one sentence, whatever was raised.

    Our own errors say it themselves. Of others, type, number and words tell; an exception that hides another one (torch
    does so on a full disk) is explained by the one behind it.
    """
    if isinstance(error, ThawError):
        return error.message
    behind = [error]
    while hidden := behind[-1].__cause__ or behind[-1].__context__:
        if hidden in behind:
            break
        behind.append(hidden)
    for known in behind:
        words = str(known).lower()
        if isinstance(known, MemoryError) or any(said in words for said in _NO_MEMORY):
            return OUT_OF_MEMORY
        if getattr(known, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(said in words for said in _NO_ROOM):
            return DISK_FULL
    if isinstance(error, OSError) and error.filename:
        cause = error.strerror or str(error)
        template = "{file} cannot be used ({cause}). Mend that, and try again."
        return Message(template, file=str(error.filename), cause=cause)
    template = "Something unexpected ended this ({kind}: {text}). The details are kept in the log."
    return Message(template, kind=type(error).__name__, text=str(error))
