"""The kinds of jobs, as a table: what each is asked with, what it does, in which lane.

A kind's work is a generator: it says how far it is, and returns plain values. It may be closed at any event, and then
leaves nothing behind. A new kind is a model of arguments, a generator, and a row.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from core import files, home
from core.backbones.pretrained import own_file
from core.data import datasets
from core.data.scan import file_stamp, pictures_digest
from core.data.split import Draw
from core.errors import BadRecipe, Fault
from core.events import Event, Progress
from core.intake.archive import Incoming, upload_members
from core.intake.importer import archive_members, create_dataset, extend_dataset
from core.intake.public import PUBLIC_SETS
from core.jobs.job import Job, Lane
from core.jobs.store import Store
from core.jobs.store.runs import TRAIN
from core.messages import Message
from core.recipe import Recipe
from core.recipe_settings import parse, to_settings, to_toml
from core.training.plan import check

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


class ArchiveArguments(Arguments):
    """An archive: a `file` of the server's, or one that was uploaded and is called `title`."""

    name: str
    source: str
    file: Path
    title: str | None = None


class UploadArguments(Arguments):
    """Files in the folder `upload` (`core.intake.archive.store_upload`), as a data set or into an own one."""

    name: str
    source: str
    upload: Path
    into: Path | None = None


class PublicArguments(Arguments):
    """One of PUBLIC_SETS; `per_class` pictures of each class at the most, or all."""

    name: str
    per_class: int | None = None


class InspectArguments(Arguments):
    """The pictures at `data`, split as they would be for training."""

    data: Path
    val_fraction: float
    seed: int
    test_fraction: float = 0.0
    folds: int = 1
    fold: int = 1


class PreviewArguments(Arguments):
    """A recipe's settings."""

    settings: dict[str, Any]


class RunArguments(Arguments):
    """A run that has kept weights, by its number."""

    run: int


def _import_archive(given: ArchiveArguments, desk: Desk) -> Work:
    members = archive_members(given.file, given.title)
    made = yield from create_dataset(home.data_folder(), given.name, given.source, members, desk.job)
    return _imported(made)


def _import_files(given: UploadArguments, desk: Desk) -> Work:
    incoming = upload_members(given.upload)
    if given.into:
        made = yield from extend_dataset(datasets.read_dataset(given.into), incoming, desk.job)
    else:
        made = yield from create_dataset(home.data_folder(), given.name, given.source, incoming, desk.job)
    return _imported(made)


def _import_public(given: PublicArguments, desk: Desk) -> Work:
    from core.intake.public_fetch import public_members  # Imported here because it brings torch along.

    arriving = public_members(given.name, home.downloads_folder(), given.per_class)
    first: list[Incoming] = []
    for one in arriving:  # First what is downloaded, then pictures only.
        if not isinstance(one, Progress):
            first.append(one)
            break
        yield one
    incoming = (one for one in chain(first, arriving) if not isinstance(one, Progress))
    public = PUBLIC_SETS[given.name]
    source = f"torchvision's {given.name}, {public.source}; licence: {public.licence}"
    made = yield from create_dataset(home.data_folder(), public.title, source, incoming, desk.job)
    return _imported(made)


def _imported(made: datasets.DataSet) -> Result:
    return {"data": str(made.folder)}


def _inspect(given: InspectArguments, _desk: Desk) -> Work:
    # Imported here because imagehash brings scipy along, which the dashboard does without.
    from core.data.picture_info import memo_file
    from core.data.quality import inspect

    draw = Draw(**given.model_dump(exclude={"data"}))
    seen = yield from inspect(given.data, memo_file(given.data), draw)
    issues = [issue.to_json() for issue in seen.issues]
    infos = {
        str(path): [info.width, info.height, info.problem and info.problem.to_json()]
        for path, info in seen.infos.items()
    }
    return {"issues": issues, "infos": infos, "fault": seen.fault and seen.fault.to_json()}


def _preview(given: PreviewArguments, desk: Desk) -> Work:
    yield LOADING
    from core.training.setup import first_batch  # Imported here because it brings torch along.

    seen = first_batch(parse(given.settings))
    desk.results.mkdir(parents=True, exist_ok=True)
    files = [desk.results / f"{number}.png" for number in range(len(seen))]
    for file, (image, _label) in zip(files, seen, strict=True):
        image.save(file)
    return {"images": [str(file) for file in files], "labels": [label for _image, label in seen]}


def _rates(recipe: Recipe, _desk: Desk) -> Work:
    yield LOADING
    from core.training.rate_finder import find_rate  # Imported here because it brings torch along.

    return (yield from find_rate(recipe, home.features_folder())).to_json()


def _evaluate(given: RunArguments, _desk: Desk) -> Work:
    yield LOADING
    from core.results.evaluate import evaluate  # Imported here because it brings torch along.

    return (yield from evaluate(home.weights_file(given.run), home.features_folder())).to_json()


def _train(recipe: Recipe, desk: Desk) -> Work:
    from core.training.loop import train  # Imported here because it brings torch along.

    assert desk.run is not None
    checked = check(to_settings(recipe))
    files.write_text(home.run_folder(desk.run) / "recipe.toml", to_toml(checked))
    weights, state = home.weights_file(desk.run), home.resume_file(desk.run)
    yield from train(checked, weights, home.features_folder(), state)
    return {}


def _about_new_data(_given: Arguments, result: Result | None) -> str | None:
    return about_data(result["data"]) if result else None


def about_data(data: Path | str) -> str:
    """The mark of results that belong to the pictures at a path."""
    return f"data:{data}"


def about_run(run: int) -> str:
    """The mark of results that belong to a run."""
    return f"run:{run}"


def _own_weights(recipe: Recipe) -> tuple[Path, ...]:
    """The file of one's own that a recipe starts from, if it does."""
    weights = own_file(recipe.weights)
    return (weights,) if weights else ()


TRAINING = Kind(name=TRAIN, lane="training", arguments=Recipe, work=_train)
ARCHIVE = Kind(name="archive", lane="light", arguments=ArchiveArguments, work=_import_archive, about=_about_new_data)
UPLOAD = Kind(name="upload", lane="light", arguments=UploadArguments, work=_import_files, about=_about_new_data)
CAMERA = replace(UPLOAD, name="camera", is_quick=True)
PUBLIC = Kind(name="public", lane="light", arguments=PublicArguments, work=_import_public, about=_about_new_data)
INSPECT = Kind(
    name="inspect",
    lane="light",
    arguments=InspectArguments,
    work=_inspect,
    pictures=lambda given: given.data,
    about=lambda given, _result: about_data(given.data),
)
PREVIEW = Kind(
    name="preview",
    lane="light",
    arguments=PreviewArguments,
    work=_preview,
    is_quick=True,
    pictures=lambda given: Path(parse(given.settings).data),
    about=lambda given, _result: about_data(parse(given.settings).data),
)
RATES = Kind(
    name="rates",
    lane="light",
    arguments=Recipe,
    work=_rates,
    is_quick=True,
    pictures=lambda recipe: Path(recipe.data),
    files=_own_weights,
    about=lambda recipe, _result: about_data(recipe.data),
)
# Of the kept weights alone: it stays the answer once mistakes among the pictures were mended.
EVALUATE = Kind(
    name="evaluate",
    lane="light",
    arguments=RunArguments,
    work=_evaluate,
    is_quick=True,
    files=lambda given: (home.weights_file(given.run),),
    about=lambda given, _result: about_run(given.run),
)
IMPORTS = (ARCHIVE, UPLOAD, CAMERA, PUBLIC)
KINDS: dict[str, Kind[Any]] = {kind.name: kind for kind in (TRAINING, *IMPORTS, INSPECT, PREVIEW, RATES, EVALUATE)}


def arguments_of(job: Job) -> BaseModel:
    """What a job was asked with. Raises BadRecipe when its kind takes something else by now."""
    if job.lane == "training":
        return parse(job.arguments)
    model: type[BaseModel] = KINDS[job.kind].arguments
    try:
        return model.model_validate(job.arguments)
    except ValidationError as error:
        wrong = [(".".join(map(str, one["loc"])), one["input"], Message(one["msg"])) for one in error.errors()]
        raise BadRecipe([Fault(*one) for one in wrong]) from error


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


def request(store: Store, kind: Kind[Given], given: Given, worker: str | None = None, digest: str | None = None) -> Job:
    """Put work into the queue; of a shared kind, the job that does it or has done it already.

    With a `worker`, the job is its own at once and never waits; `digest` is that of `shared_key`. Raises BadData or
    BadRecipe.
    """
    return store.jobs.submit(
        kind.name,
        kind.lane,
        given.model_dump(mode="json"),
        home=None if kind.lane == "training" else home.installation_id(),
        about=kind.about(given, None),
        shared_key=shared_key(kind, given, digest),
        worker=worker,
    )


def cancel(store: Store, job: str) -> None:
    """Ask a job to end; one that waits has ended then, and its upload is deleted."""
    store.jobs.request_stop(job)
    known = store.jobs.get(job)
    if known and not known.live:
        delete_upload(known)


def delete_upload(job: Job) -> None:
    """Delete the files that came from a browser for this job."""
    for name in ("file", "upload"):
        path = Path(job.arguments.get(name) or "/")
        if home.uploads_folder() in path.parents:
            top = path.relative_to(home.uploads_folder()).parts[0]
            shutil.rmtree(home.uploads_folder() / top, ignore_errors=True)
