"""A run as the store knows it."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal, TypedDict

from core.events import Progress
from core.recipe import Recipe

Status = Literal["queued", "running", "paused", "finished", "failed", "stopped"]
LIVE: frozenset[Status] = frozenset({"queued", "running"})
Request = Literal["stop", "pause"]
Wish = Literal["pause", "stop", "resume"]
ALLOWED: dict[Wish, frozenset[Status]] = {
    "pause": frozenset({"queued", "running"}),
    "stop": frozenset({"queued", "running", "paused"}),
    "resume": frozenset({"paused", "stopped", "failed", "finished"}),
}
"""In which states one can ask for what."""
STEP_COLUMNS = ("step", "epoch", "lr", "loss", "cross_entropy", "l1", "l2", "accuracy")
"""What is kept of a step."""
ENDINGS: dict[Request, Status] = {"stop": "stopped", "pause": "paused"}
"""What becomes of a run when the wish is granted."""


class Annotations(TypedDict, total=False):
    """What people write on a run."""

    name: str
    note: str
    tags: tuple[str, ...]
    starred: bool


@dataclass(frozen=True)
class Run:
    """One row of the store. `created` is UTC; `best_accuracy` is the best epoch's on the validation images, 0…1.

    `worker` names the process that claimed the run last, `heartbeat` is when it last said that it is at work, in
    seconds since 1970; `losses` counts the processes that were lost with it. `home` is the THAW_HOME that has its
    checkpoint (`core.home.installation_id`). `message` says why it failed.
    """

    id: int
    status: Status
    recipe: Recipe
    created: dt.datetime
    worker: str | None
    heartbeat: float | None
    home: str | None
    losses: int
    stop_requested: bool
    pause_requested: bool
    progress: Progress | None
    best_epoch: int | None
    best_accuracy: float | None
    seconds: float | None
    message: str | None
    traceback: str | None
    name: str
    note: str
    tags: tuple[str, ...]
    starred: bool

    @property
    def live(self) -> bool:
        """Whether more is to come by itself."""
        return self.status in LIVE

    @property
    def request(self) -> Request | None:
        """What somebody wants of whoever is at work on the run."""
        return "stop" if self.stop_requested else "pause" if self.pause_requested else None
