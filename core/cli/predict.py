"""`python -m core predict RUN IMAGE…`: ask a trained model what it sees."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from core.cli.commands import open_store, percent
from core.runs import home

if TYPE_CHECKING:
    from core.cli.commands import Commands

SHOWN = 3
"""How many of the likeliest classes the text output names."""


def add_to(commands: "Commands") -> None:
    """Declare the command."""
    command = commands.add_parser("predict", help="class names and probabilities for pictures")
    command.add_argument("run", type=int, help="the number of a run")
    command.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    command.add_argument("--json", action="store_true", help="print one object per picture and line")
    command.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Print a prediction per picture."""
    # Imported here because it brings torch along, which the other commands need not wait for.
    from core.results.predict import predict

    known = open_store().run(options.run)
    for prediction in predict(home.weights_file(known.id), options.images):
        if options.json:
            print(json.dumps({"image": str(prediction.path), "probabilities": prediction.probabilities}))
        else:
            likeliest = list(prediction.probabilities.items())[:SHOWN]
            print(f"{prediction.path}: " + ", ".join(f"{name} {percent(share)}" for name, share in likeliest))
