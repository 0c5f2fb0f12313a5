"""`python -m core predict RUN IMAGE…` and `export RUN --to TOOL`: what a run answers, and a run for other tools."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core import home
from core.errors import BadCheckpoint, BadImage, TrackerUnavailable
from core.events import Event, Metrics, StepEnded
from core.jobs.job import STEP_COLUMNS
from core.jobs.store import Store, open_store
from core.messages import Message, percent

if TYPE_CHECKING:
    from core.cli.commands import Commands

SHOWN = 3
"""How many of the likeliest classes the text output names."""


def add_to(commands: "Commands") -> None:
    """Declare the commands."""
    command = commands.add_parser("predict", help="class names and probabilities for pictures")
    command.add_argument("run", type=int, help="the number of a run")
    command.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    command.add_argument("--json", action="store_true", help="print one object per picture and line")
    command.set_defaults(command=predict)
    command = commands.add_parser("export", help="write a run for TensorBoard or MLflow")
    command.add_argument("run", type=int, help="the number of a run")
    command.add_argument(
        "--to", nargs="+", required=True, metavar=("TOOL", "WHERE"), help="tensorboard DIR, mlflow, or mlflow URI"
    )
    command.set_defaults(command=export)


def predict(options: argparse.Namespace) -> None:
    """Print a prediction for every picture that can be read. Raises BadImage, at the end, with those that cannot."""
    # Imported here because it brings torch along, which the other commands need not wait for.
    from core.results.predict import classifier

    known = open_store().runs.get(options.run)
    file = home.weights_file(known.id)
    if not file.is_file():
        template = "Run {run} is {status} and has no weights; take another run."
        raise BadCheckpoint(template, run=known.id, status=known.status)
    classify = classifier(file)
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
    """Tell the tool everything that the store knows. Raises UnknownRun or TrackerUnavailable."""
    if len(options.to) > 2:
        raise TrackerUnavailable("--to takes a tool and one place, as in --to tensorboard logs.")
    # Imported here because it brings torch along, which the other commands need not wait for.
    from core.tracking.targets import TARGETS

    tool, where = options.to[0], "".join(options.to[1:])
    if tool not in TARGETS:
        template = "{tool} is no tool to export to; take {tools}."
        raise TrackerUnavailable(template, tool=tool, tools=" or ".join(TARGETS))
    store = open_store()
    known = store.runs.get(options.run)
    with TARGETS[tool](f"run-{known.id}", known.recipe, where) as track:
        for event in _everything_said(store, known.id):
            track(event)


def _everything_said(store: Store, run: int) -> Iterator[Event]:
    """The steps of a run, then all else that it said."""
    for row in store.runs.steps(run):
        values = dict(zip(STEP_COLUMNS, row.tolist(), strict=True))
        step, epoch, lr = int(values.pop("step")), int(values.pop("epoch")), values.pop("lr")
        yield StepEnded(step, epoch, lr, Metrics(**values))
    for _row, event in store.runs.events(run):
        yield event
