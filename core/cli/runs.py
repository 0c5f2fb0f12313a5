"""`python -m core runs`, `pause|stop|resume RUN`, `work`, `predict` and `export`: runs, and what they answer."""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from core import files, home
from core.cli.data import watched
from core.errors import BadCheckpoint, BadImage, JobFailed, NotNow, TrackerUnavailable
from core.events import Event, Metrics, StepEnded
from core.figures import answers
from core.jobs import results, worker
from core.jobs.drive import drive
from core.jobs.family import family_json
from core.jobs.job import ALLOWED, STEP_COLUMNS, Run
from core.jobs.kinds import request
from core.jobs.process import process_id, training_places
from core.jobs.run_kinds import EXPORT, ExportArguments
from core.jobs.store import Store, open_store
from core.messages import Message, percent
from core.recipe_settings import to_settings
from core.results.export.formats import FORMATS

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_to(commands: "Commands") -> None:
    """Declare the commands."""
    command = commands.add_parser("runs", help="list the runs, the newest first")
    command.add_argument("--json", action="store_true", help="print one object per run and line")
    command.set_defaults(command=list_runs)
    for name, act, about in (
        ("pause", pause, "lay a run aside after its current batch, or while it waits"),
        ("stop", stop, "end a run after its current batch, or while it waits"),
        ("resume", resume, "let a run go on where it was"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("run", type=int, help="the number of a run")
        command.set_defaults(command=act)
        if act is resume:
            command.add_argument("--epochs", type=int, help="how many in all, to train for more than before")
    command = commands.add_parser("work", help="work off the queue here, and wait a while for more")
    command.set_defaults(command=work)
    _add_answers_to(commands)


def list_runs(options: argparse.Namespace) -> None:
    """Print the runs of the store."""
    store = open_store()
    runs = store.runs.all()
    if options.json:
        for run in runs:
            print(json.dumps(_as_json(store, run)))
        return
    columns = [Column(title, no_wrap=True) for title in ("run", "status", "backbone")]
    table = Table(*columns, "trainable", "optimizer", "kept", Column("validation, 95 %", no_wrap=True), "seconds")
    for run in runs:
        trainable = run.recipe.trainable
        table.add_row(
            str(run.id) if run.parent is None else f"  {run.id}",
            run.status,
            run.recipe.backbone,
            Text(trainable if isinstance(trainable, str) else " ".join(trainable)),
            f"{run.recipe.optimizer.name} {run.recipe.optimizer.lr:g}",
            str(run.kept_epoch or "–"),
            _validation(run),
            "–" if run.job.seconds is None else f"{run.job.seconds:.1f}",
        )
    Console().print(table)


def _validation(run: Run) -> str:
    """Accuracy, count and interval of a run; mean and range of a family."""
    if run.spread:
        return str(run.spread.in_words())
    return f"{percent(run.val.share)}, {run.val.in_words()}\n{run.val.between()}" if run.val else "–"


def _as_json(store: Store, run: Run) -> dict[str, object]:
    message = None if run.job.message is None else str(run.job.message)
    kept = store.runs.kept(run.id)
    val = answers(kept[1].confusion, kept[0]) if kept else None
    test = run.test
    return {
        "run": run.id,
        "status": run.status,
        "created": run.job.created.isoformat() + "Z",
        "name": run.name,
        "note": run.note,
        "tags": run.tags,
        "starred": run.starred,
        "kept_epoch": run.kept_epoch,
        "val": val or (run.val and run.val.to_json()),
        "moved": kept and kept[1].moved,
        "zeros": run.zeros,
        "test": test and asdict(test) | {"score": test.score.to_json()},
        "seconds": run.job.seconds,
        "preset": run.preset and asdict(run.preset),
        "message": message,
        "recipe": to_settings(run.recipe),
        "family": run.parent,
        **(family_json(run) if run.is_family else {}),
    }


def pause(options: argparse.Namespace) -> None:
    """Ask for a pause. Raises UnknownRun or NotNow."""
    store = open_store()
    known = store.runs.get(options.run)
    if known.status not in ALLOWED["pause"]:
        template = "Run {run} is {status}; only a run that goes or waits can pause."
        raise NotNow(template, run=options.run, status=known.status)
    store.runs.request_pause(options.run)


def stop(options: argparse.Namespace) -> None:
    """Ask for the end. Raises UnknownRun or NotNow."""
    store = open_store()
    known = store.runs.get(options.run)
    if known.status not in ALLOWED["stop"]:
        raise NotNow("Run {run} is {status} already.", run=options.run, status=known.status)
    store.runs.request_stop(options.run)


def resume(options: argparse.Namespace) -> None:
    """Put a run into the queue again, and see that somebody works it off. Raises UnknownRun or NotNow."""
    store = open_store()
    store.runs.resume(options.run, options.epochs)
    worker.ensure_progress(store)


def work(_options: argparse.Namespace) -> None:
    """Be a worker that trains, at the first place that is free. Raises NotNow when there is none."""
    if not any(worker.main("training", place) for place in range(training_places())):
        template = "As many workers as there may be ({count}) are at work already; THAW_WORKERS allows more."
        raise NotNow(template, count=training_places())


SHOWN = 3
"""How many of the likeliest classes the text output names."""


def _add_answers_to(commands: "Commands") -> None:
    command = commands.add_parser("predict", help="class names and probabilities for pictures")
    command.add_argument("run", type=int, help="the number of a run")
    command.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    command.add_argument("--json", action="store_true", help="print one object per picture and line")
    command.set_defaults(command=predict)
    command = commands.add_parser("export", help="take a run home as a file, or write it for TensorBoard or MLflow")
    command.add_argument("run", type=int, help="the number of a run")
    kinds = ", ".join(FORMATS)
    command.add_argument(
        "--to",
        nargs="+",
        required=True,
        metavar=("KIND", "PATH"),
        help=f"{kinds}, and where to; or tensorboard DIR, mlflow, or mlflow URI",
    )
    command.set_defaults(command=export)


def answering(store: Store, number: int) -> Run:
    """The run of that number; of a family its first child, which is said. Raises UnknownRun."""
    first = store.runs.get(number).first
    if first.id != number:
        template = "Run {family} is a family of runs; this is of its first, run {first}."
        print(Message(template, family=number, first=first.id), file=sys.stderr)
    return first


def demand_weights(run: Run) -> None:
    """Raises BadCheckpoint for a run that has kept none."""
    if not home.weights_file(run.id).is_file():
        template = "Run {run} is {status} and has no weights; take another run."
        raise BadCheckpoint(template, run=run.id, status=run.status)


def predict(options: argparse.Namespace) -> None:
    """Print a prediction for every picture that can be read. Raises BadImage, at the end, with those that cannot."""
    # Imported here because it brings torch along, which the other commands need not wait for.
    from core.results.predict import classifier, other_numbers
    from core.training.kept_model import load_model

    known = answering(open_store(), options.run)
    demand_weights(known)
    checkpoint = load_model(home.weights_file(known.id))
    if remark := other_numbers(checkpoint):
        print(remark, file=sys.stderr)
    classify = classifier(checkpoint)
    unread: list[Message] = []
    for path in options.images:
        try:
            probabilities = classify(path)
        except BadImage as error:
            unread.append(error.message)
            continue
        if options.json:
            print(json.dumps({"image": str(path), "probabilities": probabilities}))
        else:
            likeliest = list(probabilities.items())[:SHOWN]
            print(f"{path}: " + ", ".join(f"{name} {percent(share)}" for name, share in likeliest))
    if unread:
        raise BadImage("{unread:lines}", unread=unread)


def export(options: argparse.Namespace) -> None:
    """Write a file, or tell a tool everything that the store knows.

    Raises UnknownRun, TrackerUnavailable or JobFailed.
    """
    if len(options.to) > 2:
        raise TrackerUnavailable("--to takes a kind and one place, as in --to model model.zip.")
    if options.to[0] in FORMATS:
        _export_file(options.run, options.to[0], "".join(options.to[1:]))
        return
    # Imported here because it brings torch along, which the other commands need not wait for.
    from core.tracking.targets import TARGETS

    tool, where = options.to[0], "".join(options.to[1:])
    if tool not in TARGETS:
        template = "{tool} is nothing to export to; take {tools}."
        raise TrackerUnavailable(template, tool=tool, tools=" or ".join((*FORMATS, *TARGETS)))
    store = open_store()
    known = answering(store, options.run)
    with TARGETS[tool](f"run-{known.id}", known.recipe, where) as track:
        for event in _everything_said(store, known.id):
            track(event)


def _export_file(number: int, name: str, where: str) -> None:
    """Write one of FORMATS to a path, or under its own name into a folder."""
    store = open_store()
    known = answering(store, number)
    demand_weights(known)
    job = request(store, EXPORT, ExportArguments(run=known.id, to=name), worker=process_id())
    watched(drive(store, job))
    ended = store.jobs.get(job.id)
    made = Path((results.read(ended) or {})["made"]) if ended else None
    if made is None:
        raise JobFailed("The results were deleted meanwhile; ask again.")
    target = Path(where) / made.name if not where or Path(where).is_dir() else Path(where)
    files.write_bytes(target, made.read_bytes())
    print(target)


def _everything_said(store: Store, run: int) -> Iterator[Event]:
    """The steps of a run, then all else that it said."""
    for row in store.runs.steps(run):
        values = dict(zip(STEP_COLUMNS, row.tolist(), strict=True))
        step, epoch, lr = int(values.pop("step")), int(values.pop("epoch")), values.pop("lr")
        yield StepEnded(step, epoch, lr, Metrics(**values))
    for _row, event in store.runs.events(run):
        yield event
