"""Keep the memory that tensors give back, for the tensors of the next batch."""

import ctypes
import platform

# From glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Have this process reuse the memory of large tensors instead of returning it to the system after every layer.

    glibc maps large blocks anew each time, and the system then fills every page with zeros at its first use: up to
    half of a training step on a CPU. Other systems' allocators keep such blocks by themselves. `give_back` returns
    what is kept.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, -1)


def give_back() -> None:
    """Return all memory that is kept but not used to the system."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
