"""`python -m core train RECIPE.toml` and `rate RECIPE.toml`: train, or search a learning rate, here and now."""

import argparse
import json
import signal
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from core import events, home
from core.cli.data import watched
from core.errors import BadRecipe, Fault, JobFailed
from core.events import EpochEnded, Event, KeptTested, Notice, RunFinished, RunStarted, RunStopped, StepEnded
from core.figures import answers, few_images, looked_at, score
from core.jobs.family import family_json, figures, from_anywhere
from core.jobs.job import Run, provenance
from core.jobs.process import process_id
from core.jobs.store import open_store
from core.messages import Message, percent
from core.presets import expand
from core.recipe import Recipe
from core.recipe_settings import rate_question, read_toml
from core.training.plan import check

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

SHOWN_EVERY = 7
"""Steps of a search between two lines of its table: two lines for each factor of 10."""


def add_to(commands: "Commands") -> None:
    """Declare the commands."""
    command = commands.add_parser("train", help="train a recipe, and keep the weights of an epoch")
    _add_recipe(command)
    command.add_argument("--json", action="store_true", help="print one event per line")
    command.set_defaults(command=run)
    command = commands.add_parser("rate", help="search a learning rate for a recipe; nothing is trained or kept")
    _add_recipe(command)
    command.add_argument("--json", action="store_true", help="print one object")
    command.set_defaults(command=search_rate)


def _add_recipe(command: argparse.ArgumentParser) -> None:
    command.add_argument("recipe", type=Path, help="a TOML file")
    command.add_argument(
        "--set", dest="changes", action="append", default=[], metavar="FIELD=VALUE", help="such as optimizer.lr=0.01"
    )


def asked_for(options: argparse.Namespace) -> tuple[Recipe, str | None]:
    """The recipe that the arguments name, checked, and its preset. Raises BadRecipe."""
    settings = read_toml(options.recipe)
    for change in options.changes:
        apply(change, settings)
    if isinstance(settings.get("data"), str):
        settings["data"] = str(Path(settings["data"]).resolve())
    if isinstance(settings.get("weights"), str):
        settings["weights"], said = from_anywhere(settings["weights"], lambda number: open_store().runs.get(number))
        if said:
            print(said, file=sys.stderr)
    settings, preset = expand(settings)
    return check(settings), preset


def search_rate(options: argparse.Namespace) -> None:
    """Print what the search says, and the loss at some of the rates. Raises BadRecipe, also for L-BFGS."""
    recipe = rate_question(asked_for(options)[0])
    # Imported here because it brings torch along, which a wrong recipe need not wait for.
    from core.training.rate_finder import find_rate

    sweep = watched(find_rate(recipe, home.features_folder()))
    if options.json:
        print(json.dumps(sweep.to_json() | {"sentence": str(sweep.sentence)}))
        return
    console = Console()
    table = Table(Column("learning rate", justify="right"), Column("loss", justify="right"))
    for rate, loss in list(zip(sweep.rates, sweep.losses, strict=True))[::-SHOWN_EVERY][::-1]:
        table.add_row(f"{rate:.1e}", f"{loss:.4f}")
    console.print(table)
    console.print(str(sweep.sentence), markup=False)


def run(options: argparse.Namespace) -> None:
    """Train and print. Ctrl-C stops after the current batch and keeps what was learnt."""
    recipe, preset = asked_for(options)
    # Imported here because it brings torch along, which a wrong recipe need not wait for.
    from core.jobs.drive import drive

    store = open_store()
    started = store.runs.start(recipe, process_id(), provenance(recipe, preset))
    signal.signal(signal.SIGINT, lambda *_: store.runs.request_stop(started.id))
    show = print_json if options.json else draw
    if not started.is_family:
        show(started.id, drive(store, started.job))
        return
    failures: list[JobFailed] = []
    for child in started.children:
        if job := store.jobs.take(process_id(), child.job.id):  # None: stopped meanwhile, or resumed elsewhere.
            try:
                show(child.id, drive(store, job))
            except JobFailed as error:
                failures.append(error)
    print_family(store.runs.get(started.id), options.json)
    if failures:
        raise failures[0]


def print_family(family: Run, as_json: bool) -> None:
    """What came of a family, over all its runs: a line of its own after theirs."""
    if as_json:
        print(json.dumps({"event": "family_ended", "run": family.id, "status": family.status} | family_json(family)))
    else:
        print(f"run {family.id} {family.status}: {figures(family) or 'no validation figures'}")


def apply(change: str, settings: dict[str, Any]) -> None:
    """Put "optimizer.lr=0.01" into `settings`; a value that is not TOML is taken as text. Raises BadRecipe."""
    field, equals, value = change.partition("=")
    if not equals or not field.strip():
        raise BadRecipe([Fault("--set", change, Message("must look like optimizer.lr=0.01"))])
    *sections, name = field.strip().split(".")
    for section in sections:
        settings = settings.setdefault(section, {})
        if not isinstance(settings, dict):
            raise BadRecipe(
                [Fault("--set", change, Message("cannot be applied: {section} is not a table", section=section))]
            )
    settings[name] = _value(value.strip())


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def print_json(run_id: int, happened: Iterable[Event]) -> None:
    """One object per line, with the event's name first and the run's number in the last one; sentences in English.

    Accuracies come with the counts behind them, under "answers". A failure is a line of its own, after which JobFailed
    is raised again.
    """
    classes: tuple[str, ...] = ()
    try:
        for event in happened:
            line: dict[str, Any] = {"event": events.name(event)}
            more: dict[str, Any] = {
                name: str(value) for name, value in vars(event).items() if isinstance(value, Message)
            }
            match event:
                case RunStarted():
                    classes = event.classes
                case EpochEnded() | KeptTested():
                    more["answers"] = answers(event.confusion, classes)
                case RunFinished() | RunStopped():
                    line["run"] = run_id
                    more["val"] = event.val and event.val.to_json()
            print(json.dumps(line | events.to_dict(event) | more), flush=True)
    except JobFailed as error:
        print(json.dumps({"event": "run_failed", "run": run_id, "message": str(error)}), flush=True)
        raise


def draw(run_id: int, happened: Iterable[Event]) -> None:
    """A progress bar over all steps, another while something else takes its time, and a line per epoch."""
    console = Console()
    tested: KeptTested | None = None
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        stage = bar.add_task("Preparing", total=None)
        steps = bar.add_task(f"run {run_id}", total=None, visible=False)
        for event in happened:
            match event:
                case events.Progress():
                    title = str(event.stage)
                    bar.update(stage, description=title, completed=event.done, total=event.total, visible=True)
                case RunStarted():
                    bar.update(stage, visible=False)
                    bar.update(steps, total=event.epochs * event.steps_per_epoch, visible=True)
                    if few := few_images(event.val_images):
                        console.print(str(few), markup=False)
                case StepEnded():
                    bar.update(stage, visible=False)
                    bar.update(steps, completed=event.step)
                case Notice():
                    console.print(str(event.text), markup=False)
                case EpochEnded():
                    console.print(epoch_line(event), markup=False)
                case KeptTested():
                    tested = event
                case RunFinished() | RunStopped():
                    console.print(last_line(run_id, event, tested), markup=False)


def epoch_line(ended: EpochEnded) -> str:
    """The figures of one epoch."""
    counts = score(ended.confusion)
    right = f" ({counts.in_words()})" if counts else ""
    val = f", validation {ended.val.loss:.4f} {percent(ended.val.accuracy)}{right}" if ended.val else ""
    train = f"training loss {ended.train.loss:.4f} {percent(ended.train.accuracy)}"
    return f"epoch {ended.epoch}: {train}{val}, {ended.seconds:.1f} s"


def last_line(run_id: int, ended: RunFinished | RunStopped, tested: KeptTested | None = None) -> str:
    """How the run ended, what was kept, and what a test said of it."""
    word = "finished" if isinstance(ended, RunFinished) else "stopped"
    said = [f"run {run_id} {word} after {ended.seconds:.1f} s", f"kept: epoch {ended.kept_epoch}"]
    if ended.val:
        said[-1] += f", validation {ended.val.in_full()}"
    if tested and (right := score(tested.confusion)):
        said.append(str(looked_at(right, tested.epoch, looks=1)))
    return "; ".join(said)
