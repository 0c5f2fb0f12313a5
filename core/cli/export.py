"""`python -m core export RUN --to tensorboard DIR` or `--to mlflow [URI]`: a run for other tools to read."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from core.errors import TrackerUnavailable
from core.events import Event, Metrics, StepEnded
from core.jobs.run import STEP_COLUMNS
from core.jobs.store import Store, open_store

if TYPE_CHECKING:
    from core.cli.commands import Commands


def add_to(commands: "Commands") -> None:
    """Declare the command."""
    command = commands.add_parser("export", help="write a run for TensorBoard or MLflow")
    command.add_argument("run", type=int, help="the number of a run")
    command.add_argument(
        "--to", nargs="+", required=True, metavar=("TOOL", "WHERE"), help="tensorboard DIR, mlflow, or mlflow URI"
    )
    command.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Tell the tool everything that the store knows. Raises UnknownRun or TrackerUnavailable."""
    if len(options.to) > 2:
        raise TrackerUnavailable("--to takes a tool and one place, as in --to tensorboard logs.")
    # Imported here because it brings torch along, which the other commands need not wait for.
    from core.tracking.targets import TARGETS

    tool, where = options.to[0], "".join(options.to[1:])
    if tool not in TARGETS:
        raise TrackerUnavailable(f"{tool} is no tool to export to; take {' or '.join(TARGETS)}.")
    store = open_store()
    known = store.run(options.run)
    with TARGETS[tool](f"run-{known.id}", known.recipe, where) as track:
        for event in history(store, known.id):
            track(event)


def history(store: Store, number: int) -> Iterator[Event]:
    """The steps of a run, then all else that it said."""
    for row in store.steps(number):
        values = dict(zip(STEP_COLUMNS, row.tolist(), strict=True))
        step, epoch, lr = int(values.pop("step")), int(values.pop("epoch")), values.pop("lr")
        yield StepEnded(step, epoch, lr, Metrics(**values))
    for _row, event in store.events(number):
        yield event
