"""What the speed benchmark compares: who, at which work, and how much faster Thaw is meant to be."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """`module` is its program in this folder; `features` says what Thaw finds in the folder that it keeps them in."""

    name: str
    title: str
    module: str
    features: Literal["nowhere", "empty", "filled"] = "nowhere"

    @property
    def is_peer(self) -> bool:
        """Whether it is somebody else's way of training."""
        return self.module.startswith("peer_")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is trained, and for how many epochs, whoever does it."""

    name: str
    trainable: Literal["all"] | tuple[str, ...]
    epochs: int


@dataclass(frozen=True, kw_only=True)
class Work:
    """One group of lines of the table.

    `thaw` are the ways of Thaw that are shown beside the peers; the last one is meant to be `target` times faster than
    the fastest peer.
    """

    name: str
    title: str
    task: Task
    thaw: tuple[Contestant, ...]
    target: int

    @property
    def contestants(self) -> tuple[Contestant, ...]:
        """Everyone whose time is shown."""
        return (*PEERS, *self.thaw)


PEERS = (
    Contestant(name="tutorial", title="plain PyTorch loop", module="peer_tutorial"),
    Contestant(name="fastai", title="fastai", module="peer_fastai"),
    Contestant(name="lightning", title="Lightning", module="peer_lightning"),
)
UNCACHED = Contestant(name="thaw-uncached", title="Thaw without cache", module="with_thaw")
COMPUTING = Contestant(name="thaw", title="Thaw", module="with_thaw", features="empty")
REUSING = Contestant(name="thaw-reusing", title="Thaw, features there", module="with_thaw", features="filled")

HEAD = Task(name="head", trainable=("head",), epochs=25)
LAST_TWO = Task(name="last-two", trainable=("stage7", "conv", "head"), epochs=25)
ALL = Task(name="all", trainable="all", epochs=3)

WORKS = (
    Work(name="head", title="head only, nothing cached", task=HEAD, thaw=(UNCACHED, COMPUTING), target=100),
    # The peers keep nothing, so it is the same task for them.
    Work(name="cached", title="head only, features already cached", task=HEAD, thaw=(REUSING,), target=1000),
    Work(
        name="last-two",
        title="head and the last two blocks, nothing cached",
        task=LAST_TWO,
        thaw=(UNCACHED, COMPUTING),
        target=15,
    ),
    # Nothing is frozen, so there is nothing that a cache could keep.
    Work(name="all", title="all blocks", task=ALL, thaw=(COMPUTING,), target=3),
)
