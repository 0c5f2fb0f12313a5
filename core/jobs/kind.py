"""A kind of job: what it is asked with, what it does, in which lane, and what its result belongs to."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from core.events import Event, Progress
from core.jobs.job import Lane
from core.messages import Message

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
