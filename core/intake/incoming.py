"""What comes in from outside, one file after the other, whatever it comes from: an archive, a browser, a data set."""

from collections.abc import Callable
from dataclasses import dataclass

from core.data.stored import Skipped


@dataclass(frozen=True)
class Member:
    """One file. `name` is its path as a person would write it ("cats/1.jpg"); `share` of all that comes is behind it.

    `read` gives its bytes, for as long as it is the newest member; it raises Unreadable.
    """

    name: str
    read: Callable[[], bytes]
    share: float


class Unreadable(Exception):
    """The bytes of one member cannot be had, or are no picture; the text says why. It becomes a Skipped."""


Incoming = Member | Skipped
