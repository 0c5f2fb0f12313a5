"""The kinds of jobs, as a table, and requests for them.

A kind's work is a generator: it says how far it is, and returns plain values. It may be closed at any event, and then
leaves nothing behind. A new kind is a model of arguments, a generator, and a row.
"""

from typing import Any

from pydantic import BaseModel, ValidationError

from core import home
from core.errors import BadRecipe, Fault
from core.jobs.job import Given, Job, Kind, shared_key
from core.jobs.picture_kinds import IMPORTS, INSPECT, PREVIEW, SHORTCUTS
from core.jobs.results import delete_upload
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
