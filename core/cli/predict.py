"""`python -m core predict RUN IMAGE…`: ask a trained model what it sees."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from core import home
from core.errors import BadCheckpoint, BadImage
from core.jobs.store import open_store
from core.messages import percent

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
    """Print a prediction for every picture that can be read. Raises BadImage, at the end, with those that cannot."""
    # Imported here because it brings torch along, which the other commands need not wait for.
    from core.results.predict import classifier

    known = open_store().run(options.run)
    file = home.weights_file(known.id)
    if not file.is_file():
        raise BadCheckpoint(f"Run {known.id} is {known.status} and has no weights; take another run.")
    classify = classifier(file)
    unread = []
    for path in options.images:
        try:
            probabilities = classify(path)
        except BadImage as error:
            unread.append(str(error))
            continue
        if options.json:
            print(json.dumps({"image": str(path), "probabilities": probabilities}))
        else:
            likeliest = list(probabilities.items())[:SHOWN]
            print(f"{path}: " + ", ".join(f"{name} {percent(share)}" for name, share in likeliest))
    if unread:
        raise BadImage("\n".join(unread))
