"""The command line: `python -m core COMMAND`; each file of `core.cli` declares and runs some of the commands."""

import argparse
import os
import sys
import threading
from collections.abc import Sequence

from core.cli import about, data, runs, train
from core.errors import BadRecipe, BadSettings, StoreBusy, ThawError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 done, 1 failed, 2 a bad recipe, bad settings or bad arguments."""
    parser = argparse.ArgumentParser(prog="python -m core", description="Transfer learning from the command line.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (train, about, runs, data):
        command.add_to(commands)
    options = parser.parse_args(arguments)
    try:
        _carry_out(options)
    except (BadRecipe, BadSettings) as error:
        print(error, file=sys.stderr)
        return 2
    except ThawError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # As in `python -m core runs | head`: nobody reads on.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # For what Python writes at its end.
    return 0


def _carry_out(options: argparse.Namespace) -> None:
    """Run the command, as soon as an earlier version of Thaw is not at work on the database any more."""
    is_said = False
    while True:
        try:
            options.command(options)
            return
        except StoreBusy as busy:
            if not is_said:
                print(busy, file=sys.stderr, flush=True)
            is_said = True
            threading.Event().wait(1.0)


if __name__ == "__main__":
    sys.exit(main())
