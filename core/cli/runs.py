"""`python -m core runs`, `pause|stop|resume RUN` and `work`: the runs, and what is wished of them."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from core.errors import NotNow
from core.figures import answers
from core.jobs import worker
from core.jobs.family import family_json
from core.jobs.job import ALLOWED, Run
from core.jobs.process import training_places
from core.jobs.store import Store, open_store
from core.messages import percent
from core.recipe_settings import to_settings

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
