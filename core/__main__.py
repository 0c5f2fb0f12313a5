"""The command line: `python -m core COMMAND`.

Each file of `core.cli` declares and runs some of the commands. Those that list what there is to start from and what can
be set are here: `backbones`, `presets` and `settings`.
"""

import argparse
import dataclasses
import json
import os
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from core.backbones import catalogue, pretrained
from core.cli import answers, data, results, runs, train
from core.errors import BadRecipe, BadSettings, StoreBusy, ThawError
from core.presets import PRESETS
from core.settings import described

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 done, 1 failed, 2 a bad recipe, bad settings or bad arguments."""
    parser = argparse.ArgumentParser(prog="python -m core", description="Transfer learning from the command line.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for declare in (train.add_to, _add_lists, runs.add_to, answers.add_to, results.add_to, data.add_to):
        declare(commands)
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


def list_backbones(options: argparse.Namespace) -> None:
    """Print the catalogue."""
    backbones = [catalogue.get(name) for name in catalogue.names()]
    if options.json:
        for backbone in backbones:
            state = pretrained.weights_state(backbone)
            print(json.dumps(dataclasses.asdict(backbone) | {"weights_state": state}))
        return
    columns = [Column(title, no_wrap=True) for title in ("name", "parameters", "size", "top-1", "weights")]
    table = Table(*columns, "blocks", title="top-1: torchvision's weights on ImageNet")
    for backbone in backbones:
        table.add_row(
            backbone.name,
            f"{backbone.parameters:,}",
            f"{backbone.preprocessing.crop} px",
            f"{backbone.weights.accuracy:.1f} %" if backbone.weights else "–",
            pretrained.weights_state(backbone),
            " ".join(block.name for block in backbone.blocks),
        )
    Console().print(table)


def list_presets(options: argparse.Namespace) -> None:
    """Print the presets: how many blocks learn, and the settings."""
    if options.json:
        for name, preset in PRESETS.items():
            print(json.dumps({"name": name} | dataclasses.asdict(preset)))
        return
    table = Table(Column("preset", no_wrap=True), "blocks", "start from", "rates", "schedule", "epochs", "BatchNorm")
    for name, preset in PRESETS.items():
        rates = ", ".join(f"{group} {factor:g}" for group, factor in preset.rates.items())
        blocks = "all" if preset.blocks is None else f"the last {preset.blocks}" if preset.blocks > 1 else "the head"
        table.add_row(name, blocks, preset.weights, rates, preset.schedule, str(preset.epochs), preset.batchnorm)
    Console().print(table)


def list_settings(options: argparse.Namespace) -> None:
    """Print every setting. Raises BadSettings when one of them is wrong."""
    if options.json:
        for setting in described():
            print(json.dumps(dataclasses.asdict(setting)))
        return
    table = Table(Column("setting", no_wrap=True), "now", "default", "what it is")
    for setting in described():
        table.add_row(setting.variable, Text(setting.value), Text(setting.default), setting.about)
    Console().print(table)


LISTS = (
    ("backbones", "list the backbones and their blocks", "backbone", list_backbones),
    ("presets", "list the presets: settings that fit together", "preset", list_presets),
    ("settings", "list the settings from the environment, with their values now", "setting", list_settings),
)
"""Commands that list what there is to start from and what can be set: name, help, what a line is, and the work."""


def _add_lists(commands: "Commands") -> None:
    """Declare the commands that list."""
    for name, about, line, work in LISTS:
        command = commands.add_parser(name, help=about)
        command.add_argument("--json", action="store_true", help=f"print one object per {line} and line")
        command.set_defaults(command=work)


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
