"""Write to a store that may be locked, full or away for a while: nothing is lost, and training waits meanwhile."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from core.errors import StoreUnavailable

PATIENCE = 600.0
"""Seconds for which training waits for a store that cannot be written."""
TRY_AGAIN = 1.0
"""Seconds between two tries to write it."""

Result = TypeVar("Result")


def retry_while_unavailable(write: Callable[[], Result]) -> Result:
    """What `write` gives once it succeeds. Raises StoreUnavailable when it has not for PATIENCE seconds."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            return write()
        except StoreUnavailable as error:
            if time.monotonic() > give_up:
                raise
            print(f"waiting: {error}", flush=True)
            threading.Event().wait(TRY_AGAIN)
