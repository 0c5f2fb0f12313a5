"""Jobs as the store knows them, and runs: the face of a job that trains, with a number, a history and annotations."""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypedDict, TypeVar

from pydantic import BaseModel, ConfigDict

from core import home, presets
from core.data.scan import file_stamp, pictures_digest
from core.errors import BadData
from core.events import Event, Progress
from core.figures import Score, Spread
from core.messages import Message
from core.recipe import Recipe

Lane = Literal["training", "light", "none"]
"""Who works a job off. Nobody works on one of the lane "none", the job of a family (`core.jobs.family`)."""
Status = Literal["queued", "running", "paused", "finished", "failed", "stopped"]
LIVE: frozenset[Status] = frozenset({"queued", "running"})
Request = Literal["stop", "pause"]
Wish = Literal["pause", "stop", "resume"]
ALLOWED: dict[Wish, frozenset[Status]] = {
    "pause": frozenset({"queued", "running"}),
    "stop": frozenset({"queued", "running", "paused"}),
    "resume": frozenset({"paused", "stopped", "failed", "finished"}),
}
"""In which states a person can ask for what."""
ENDINGS: dict[Request, Status] = {"stop": "stopped", "pause": "paused"}
"""The status of a job once the request is granted."""
OPENED = "opened"
"""The kind of job that stands for a run out of a bundle: it was trained elsewhere, and is not trained here."""
STEP_COLUMNS = ("step", "epoch", "lr", "loss", "cross_entropy", "l1", "l2", "accuracy")
"""What is kept of a step."""


class Annotations(TypedDict, total=False):
    """What people write on a run."""

    name: str
    note: str
    tags: tuple[str, ...]
    starred: bool


@dataclass(frozen=True)
class Job:
    """One piece of background work. `id` is random; nobody sees it.

    `arguments` are plain values, which `core.jobs.kinds` checks. `created` is UTC. `worker` is the process that claimed
    the job last, `heartbeat` when it last said that it is at work, in seconds since 1970. `losses` is the number of
    workers that died during this job. `home` is the THAW_HOME that may work on it; None lets any. `about` is the data
    set or run that the result belongs to (`core.jobs.results`). `message` says why the job failed.
    """

    id: str
    kind: str
    lane: Lane
    arguments: Mapping[str, Any]
    status: Status
    created: dt.datetime
    home: str | None
    worker: str | None
    heartbeat: float | None
    losses: int
    stop_requested: bool
    pause_requested: bool
    progress: Progress | None
    seconds: float | None
    message: Message | None
    traceback: str | None
    result: Mapping[str, Any] | None
    about: str | None
    parent: str | None

    @property
    def live(self) -> bool:
        """Whether more comes without anybody asking for it."""
        return self.status in LIVE

    @property
    def request(self) -> Request | None:
        """What somebody wants of the worker of this job."""
        return "stop" if self.stop_requested else "pause" if self.pause_requested else None


@dataclass(frozen=True)
class Provenance:
    """The preset that a recipe began from (`core.presets`), and the settings that were `changed` by hand since."""

    name: str
    changed: tuple[str, ...] = ()


def provenance(recipe: Recipe, preset: str | None) -> Provenance | None:
    """Where a recipe comes from, if it began from a preset."""
    return Provenance(preset, presets.changed(preset, recipe)) if preset else None


@dataclass(frozen=True)
class FinalTest:
    """What the weights after `epoch` scored on the test images, which were looked at `looks` times so far."""

    score: Score
    balanced_accuracy: float
    epoch: int
    looks: int


@dataclass(frozen=True)
class Run:
    """A job that trains `recipe`, or a family of such jobs (`core.jobs.family`).

    `kept_epoch` is the one whose weights are kept, so far; None before the first. `val` and `balanced_accuracy` (0…1)
    are what these weights score on the validation images, and `zeros` is the share of the head's weights that are
    exactly 0; each is None where it was not measured.

    `parent` is the number of the family that a run is one of. A family has no such figures, but `children`: in order,
    those that were not deleted.
    """

    id: int
    job: Job
    recipe: Recipe
    kept_epoch: int | None
    val: Score | None
    balanced_accuracy: float | None
    zeros: float | None
    test: FinalTest | None
    preset: Provenance | None
    name: str
    note: str
    tags: tuple[str, ...]
    starred: bool
    parent: int | None = None
    children: "tuple[Run, ...]" = ()

    @property
    def is_family(self) -> bool:
        """Whether nothing is trained but what its children train."""
        return self.job.lane == "none"

    @property
    def is_opened(self) -> bool:
        """Whether it came out of a bundle, to be looked at only."""
        return self.job.kind == OPENED

    def demand_training_pictures(self) -> None:
        """Raises BadData for a run out of a bundle, which brought none along."""
        if self.is_opened:
            template = (
                "Run {run} came out of a bundle, which has its held-out pictures only: "
                "this needs the training pictures too."
            )
            raise BadData(template, run=self.id)

    @property
    def members(self) -> "tuple[Run, ...]":
        """Those that train: the children of a family, or the run itself."""
        return self.children if self.is_family else (self,)

    @property
    def first(self) -> "Run":
        """The run whose weights answer for it: the first child of a family, or the run itself."""
        return self.children[0] if self.children else self

    @property
    def spread(self) -> Spread | None:
        """The scores of a family's children in validation, so far; None before the first, and of a single run."""
        scores = tuple(child.val for child in self.children if child.val)
        return Spread(scores) if scores else None

    @property
    def status(self) -> Status:
        """Its job's."""
        return self.job.status

    @property
    def live(self) -> bool:
        """Whether more comes without anybody asking for it."""
        return self.job.live


# What kinds of jobs are made of; `core.jobs.kinds` has the table.

Result = dict[str, Any]
Work = Generator[Event, None, Result]
LOADING = Progress(Message("Loading PyTorch"), 0, 1)


class Arguments(BaseModel):
    """What a job is asked with; it crosses the border between processes as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Given = TypeVar("Given", bound=BaseModel)


@dataclass(frozen=True)
class Desk:
    """Where a job works: its id, and its run's number if it has one.

    `results` is a folder for the files that it returns, made by who uses it.
    """

    job: str
    run: int | None
    results: Path


def about_nothing(_given: object, _result: object) -> None:
    """The result belongs to no data set or run."""


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[Given]):
    """`work` does it. `is_quick`: people wait for it, and one of the two light places takes nothing else.

    `pictures` is the folder of pictures that the work depends on, `files` are files that it does. A kind that has
    either is shared: the same request twice, of the same pictures and files, is one job. `about` names what the result
    belongs to, "data:PATH" or "run:NUMBER", from the arguments and, once there is one, the result. `version` is raised
    when the work returns something else than before.
    """

    name: str
    lane: Lane
    arguments: type[Given]
    work: Callable[[Given, Desk], Work]
    is_quick: bool = False
    pictures: Callable[[Given], Path] | None = None
    files: Callable[[Given], tuple[Path, ...]] | None = None
    about: Callable[[Given, Result | None], str | None] = about_nothing
    version: int = 1

    @property
    def is_shared(self) -> bool:
        """Whether the same request twice is one job."""
        return self.pictures is not None or self.files is not None


def about_data(data: Path | str) -> str:
    """The mark of results that belong to the pictures at a path."""
    return f"data:{data}"


def about_run(run: int) -> str:
    """The mark of results that belong to a run."""
    return f"run:{run}"


def shared_key(kind: Kind[Given], given: Given, digest: str | None = None) -> str | None:
    """The name of a request, the same for the same work on the same pictures; None for a kind that is not shared.

    Who asks for several things at once knows the `digest` of the pictures already: making it looks at every file.
    Raises BadData when the pictures cannot be looked at, BadRecipe when they are not named.
    """
    if not kind.is_shared:
        return None
    seen = digest or pictures_digest(kind.pictures(given)) if kind.pictures else None
    inputs = [seen, *map(file_stamp, kind.files(given) if kind.files else ())]
    words = [kind.name, kind.version, home.installation_id(), given.model_dump(mode="json"), inputs]
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()
