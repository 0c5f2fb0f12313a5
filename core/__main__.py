"""The command line: `python -m core train|backbones|runs|pause|stop|resume|work|check|import|predict|export`."""

import argparse
import os
import sys
from collections.abc import Sequence

from core.cli import backbones, control, data, export, predict, runs, train
from core.errors import BadRecipe, ThawError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 done, 1 failed, 2 a bad recipe or bad arguments."""
    parser = argparse.ArgumentParser(prog="python -m core", description="Transfer learning from the command line.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (train, backbones, runs, control, data, predict, export):
        command.add_to(commands)
    options = parser.parse_args(arguments)
    try:
        options.command(options)
    except BadRecipe as error:
        print(error, file=sys.stderr)
        return 2
    except ThawError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # As in `python -m core runs | head`: nobody reads on.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # For what Python writes at its end.
    return 0


if __name__ == "__main__":
    sys.exit(main())
