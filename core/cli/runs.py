"""`python -m core runs`: what has been trained."""

import argparse
import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from core.jobs.store import open_store
from core.messages import percent
from core.recipe import to_settings

if TYPE_CHECKING:
    from core.cli.commands import Commands


def add_to(commands: "Commands") -> None:
    """Declare the command."""
    command = commands.add_parser("runs", help="list the runs, the newest first")
    command.add_argument("--json", action="store_true", help="print one object per run and line")
    command.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Print the runs of the store."""
    runs = open_store().runs()
    if options.json:
        for one in runs:
            about = {"run": one.id, "status": one.status, "created": one.created.isoformat() + "Z"}
            labels = {"name": one.name, "note": one.note, "tags": one.tags, "starred": one.starred}
            ending = {"best_epoch": one.best_epoch, "val_accuracy": one.best_accuracy, "seconds": one.seconds}
            print(json.dumps(about | labels | ending | {"message": one.message, "recipe": to_settings(one.recipe)}))
        return
    columns = [Column(title, no_wrap=True) for title in ("run", "status", "backbone")]
    table = Table(*columns, "trainable", "optimizer", "best accuracy", "seconds")
    for one in runs:
        trainable = one.recipe.trainable
        table.add_row(
            str(one.id),
            one.status,
            one.recipe.backbone,
            Text(trainable if isinstance(trainable, str) else " ".join(trainable)),
            f"{one.recipe.optimizer.name} {one.recipe.optimizer.lr:g}",
            percent(one.best_accuracy),
            "–" if one.seconds is None else f"{one.seconds:.1f}",
        )
    Console().print(table)
