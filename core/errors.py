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
import re
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
    """Pretrained weights that are not bundled and not in the cache, and cannot be downloaded now."""


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
    """A job that ended early; the store holds the traceback."""


OUT_OF_MEMORY = Message(
    "The machine ran out of memory. Choose a smaller batch size, a smaller image size, a smaller backbone, or fewer "
    "trainable blocks, close other programs, and try again."
)
DISK_FULL = Message("The disk is full. Free some space and try again.")
UNSUPPORTED_CARD = Message(
    "The graphics card is too old for this PyTorch, which has no code for it. Choose the CPU as the device, and try "
    "again."
)
_NUMBERS = {errno.ENOSPC: DISK_FULL, errno.EDQUOT: DISK_FULL, errno.ENOMEM: OUT_OF_MEMORY}
"""What the operating system's numbers mean."""
_WORDS = (
    ("MemoryError", r"", OUT_OF_MEMORY),
    ("OutOfMemoryError", r"", OUT_OF_MEMORY),
    ("RuntimeError", r"^(cuda|hip|xpu|mps)\b[\w ]*:? out of memory", OUT_OF_MEMORY),
    ("RuntimeError", r"DefaultCPUAllocator: (not enough|can't allocate) memory", OUT_OF_MEMORY),
    ("RuntimeError", r"_STATUS_ALLOC_FAILED|std::bad_alloc|cannot allocate memory \(12\)", OUT_OF_MEMORY),
    ("RuntimeError", r"no kernel image is available for execution on the device", UNSUPPORTED_CARD),
    ("RuntimeError", r"unexpected pos \d+ vs \d+|no space left on device \(28\)", DISK_FULL),
    ("SafetensorError", r"(code: |os error )(28|112|122)\b", DISK_FULL),
    ("SafetensorError", r"(code: |os error )12\b", OUT_OF_MEMORY),
    ("OperationalError", r"^database or disk is full", DISK_FULL),
    ("OperationalError", r"^could not \w+ file .*: no space left on device", DISK_FULL),
)
"""What torch (CPU, CUDA, cuBLAS, MPS), safetensors, SQLite and PostgreSQL say: the kind of exception, by its name, and
its words. Words alone would not do: a path may have them. "unexpected pos" is torch's word when it closes a file that
could not be written whole."""


def explain(error: BaseException) -> Message:
    """What happened and what to do, as one sentence, for every exception.

    Our own errors say it themselves. For others, kind, number and words tell. Some exceptions hide another one (torch
    does so on a full disk): then the one behind tells.
    """
    if isinstance(error, ThawError):
        return error.message
    behind = [error]
    for known in behind:
        if meaning := _known(known):
            return meaning
        behind += [hidden for hidden in (known.__cause__, known.__context__) if hidden and hidden not in behind]
    if isinstance(error, OSError) and error.filename:
        cause = error.strerror or str(error)
        template = "{file} cannot be used ({cause}). Mend that, and try again."
        return Message(template, file=str(error.filename), cause=cause)
    template = "Something unexpected ended this ({kind}: {text}). The details are kept in the log."
    return Message(template, kind=type(error).__name__, text=str(error))


def _known(error: BaseException) -> Message | None:
    """The sentence for one exception by its kind, number and words; None where they are not known."""
    if isinstance(error, OSError):
        return _NUMBERS.get(error.errno or 0)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    for kind, words, meaning in _WORDS:
        if kind in kinds and re.search(words, str(error), re.IGNORECASE):
            return meaning
    return None
