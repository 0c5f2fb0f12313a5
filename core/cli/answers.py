"""`python -m core predict` and `export`: what a run answers, and what people take home of it."""

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core import files, home
from core.cli.data import watched
from core.data.scan import picture_files
from core.errors import BadCheckpoint, BadData, BadImage, JobFailed, TrackerUnavailable
from core.jobs import results
from core.jobs.drive import drive
from core.jobs.job import Run
from core.jobs.kinds import request
from core.jobs.process import process_id
from core.jobs.run_kinds import EXPORT, OPEN, ExportArguments, OpenArguments
from core.jobs.store import Store, open_store
from core.messages import Message, percent
from core.results.export.formats import FORMATS

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

SHOWN = 3
"""How many of the likeliest classes the text output names."""


def add_to(commands: "Commands") -> None:
    """Declare the commands."""
    command = commands.add_parser("predict", help="class names and probabilities for pictures")
    command.add_argument("run", type=int, help="the number of a run")
    command.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="pictures, or folders of them")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one object per picture and line")
    form.add_argument("--csv", type=Path, metavar="FILE", help="write a table: a row for each picture")
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
    command = commands.add_parser("bundle", help="pack a run into one file that another Thaw opens")
    command.add_argument("run", type=int, help="the number of a run")
    command.add_argument("path", nargs="?", default="", help="where to; its own name in this folder without it")
    command.set_defaults(command=lambda given: _export_file(given.run, "bundle", given.path))
    command = commands.add_parser("open", help="look at a run out of a bundle, as a run of its own here")
    command.add_argument("file", type=Path, help="what bundle has written")
    command.set_defaults(command=open_file)


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

    def answered() -> Iterator[tuple[Path, dict[str, float]]]:
        for path in (one for given in options.images for one in picture_files(given)):
            try:
                yield path, classify(path)
            except BadImage as error:
                unread.append(error.message)

    if options.csv:
        write_table(options.csv, checkpoint.classes, answered())
    else:
        for path, probabilities in answered():
            if options.json:
                print(json.dumps({"image": str(path), "probabilities": probabilities}))
            else:
                likeliest = list(probabilities.items())[:SHOWN]
                print(f"{path}: " + ", ".join(f"{name} {percent(share)}" for name, share in likeliest))
    if unread:
        raise BadImage("{unread:lines}", unread=unread)


def write_table(target: Path, classes: Sequence[str], answered: Iterator[tuple[Path, dict[str, float]]]) -> None:
    """A CSV file: each picture's path, the likeliest class, and the probability of every class, 0…1."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["image", "class", *classes])
    for path, probabilities in answered:
        shares = (f"{probabilities[name]:.6f}" for name in classes)
        table.writerow([str(path), next(iter(probabilities)), *shares])
    files.write_text(target, file.getvalue())


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
    from core.jobs.run_files import everything_said
    from core.tracking.targets import TARGETS

    tool, where = options.to[0], "".join(options.to[1:])
    if tool not in TARGETS:
        template = "{tool} is nothing to export to; take {tools}."
        raise TrackerUnavailable(template, tool=tool, tools=" or ".join((*FORMATS, *TARGETS)))
    store = open_store()
    known = answering(store, options.run)
    with TARGETS[tool](f"run-{known.id}", known.recipe, where) as track:
        for event in everything_said(store, known.id):
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


def open_file(options: argparse.Namespace) -> None:
    """Take in a bundle and say under which number. Raises BadData or JobFailed."""
    if not options.file.is_file():
        raise BadData("{path} is no file; give the path of a bundle.", path=options.file)
    store = open_store()
    job = request(store, OPEN, OpenArguments(file=options.file.resolve(), title=options.file.name), worker=process_id())
    watched(drive(store, job))
    ended = store.jobs.get(job.id)
    print(f"run {(results.read(ended) or {})['run']}" if ended else "")
