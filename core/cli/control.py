"""`python -m core pause|stop|resume RUN` and `work`: what one can ask of runs from anywhere."""

import argparse
from typing import TYPE_CHECKING

from core.errors import NotNow
from core.jobs import worker
from core.jobs.launch import worker_slots
from core.jobs.recover import ensure_progress
from core.jobs.run import ALLOWED
from core.jobs.store import open_store

if TYPE_CHECKING:
    from core.cli.commands import Commands


def add_to(commands: "Commands") -> None:
    """Declare the commands."""
    for name, run, about in (
        ("pause", pause, "lay a run aside after its current batch, or while it waits"),
        ("stop", stop, "end a run after its current batch, or while it waits"),
        ("resume", resume, "let a run go on where it was"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("run", type=int, help="the number of a run")
        command.set_defaults(command=run)
        if run is resume:
            command.add_argument("--epochs", type=int, help="how many in all, where it shall be more than before")
    command = commands.add_parser("work", help="work off the queue here, and wait a while for more")
    command.set_defaults(command=work)


def pause(options: argparse.Namespace) -> None:
    """Ask for a pause. Raises UnknownRun or NotNow."""
    store = open_store()
    known = store.run(options.run)
    if known.status not in ALLOWED["pause"]:
        raise NotNow(f"Run {options.run} is {known.status}; only a run that goes or waits can pause.")
    store.request_pause(options.run)


def stop(options: argparse.Namespace) -> None:
    """Ask for the end. Raises UnknownRun or NotNow."""
    store = open_store()
    known = store.run(options.run)
    if known.status not in ALLOWED["stop"]:
        raise NotNow(f"Run {options.run} is {known.status} already.")
    store.request_stop(options.run)


def resume(options: argparse.Namespace) -> None:
    """Put a run into the queue again, and see that somebody works it off. Raises UnknownRun or NotNow."""
    store = open_store()
    store.resume(options.run, options.epochs)
    ensure_progress(store)


def work(_options: argparse.Namespace) -> None:
    """Be a worker, at the first place that is free. Raises NotNow when there is none."""
    if not any(worker.main(place) for place in range(worker_slots())):
        raise NotNow(
            f"As many workers as there may be ({worker_slots()}) are at work already; THAW_WORKERS allows more."
        )
