"""Turn whatever ended a run into a sentence for the person on the page."""

import errno

import torch

from core.errors import ThawError

OUT_OF_MEMORY = (
    "The machine ran out of memory. Choose a smaller batch size, a smaller image size, a smaller backbone, or fewer "
    "trainable blocks, and train again."
)
NO_MEMORY = ("not enough memory", "can't allocate memory", "cannot allocate memory")
"""What torch and the operating systems say of it."""
DISK_FULL = "The disk is full, so the run could not be kept. Free some space and train again."


def advice(error: BaseException) -> str:
    """What happened and what to do. Our own errors say it themselves; torch tells the rest by exception and words."""
    words = str(error).lower()
    if isinstance(error, ThawError):
        return str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(said in words for said in NO_MEMORY):
        return OUT_OF_MEMORY
    if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or "no space left" in words:
        return DISK_FULL
    return f"Something unexpected ended the run ({type(error).__name__}: {error}). The details are kept with the run."
