"""The kinds of jobs, as a table, and requests for them.

A kind's work is a generator: it says how far it is, and returns plain values. It may be closed at any event, and then
leaves nothing behind. A new kind is a model of arguments, a generator, and a row.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from core import home
from core.data.scan import file_stamp, pictures_digest
from core.errors import BadRecipe, Fault
from core.jobs.job import Given, Job, Kind
from core.jobs.picture_kinds import IMPORTS, INSPECT, PREVIEW, SHORTCUTS
from core.jobs.run_kinds import ASK, DOUBTS, EVALUATE, EXPORT, MAP, MORE, OPEN, RATES, TRAINING
from core.jobs.store import Store
from core.messages import Message
from core.recipe_settings import parse

OF_PICTURES = (*IMPORTS, INSPECT, PREVIEW, SHORTCUTS)
OF_RUNS = (TRAINING, RATES, EVALUATE, MAP, ASK, DOUBTS, MORE, EXPORT, OPEN)
KINDS: dict[str, Kind[Any]] = {kind.name: kind for kind in (*OF_PICTURES, *OF_RUNS)}


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
