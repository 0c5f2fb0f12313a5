"""`python -m core results RUN`: what the tabs of a run show."""

import argparse
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from core import home
from core.cli.answers import answering, demand_weights
from core.cli.data import watched
from core.errors import BadData, JobFailed
from core.figures import balanced_accuracy, by_class, moved_in_words, score
from core.jobs import results
from core.jobs.drive import drive
from core.jobs.job import Given, Kind, Run
from core.jobs.kinds import request
from core.jobs.picture_kinds import SHORTCUTS, DataArguments
from core.jobs.process import process_id
from core.jobs.run_kinds import DOUBTS, EVALUATE, MAP, MORE, RunArguments
from core.jobs.store import Store, open_store
from core.jobs.worker import ensure_progress
from core.messages import Message, percent
from core.results.answers import Evaluation
from core.results.head_weights import HeadWeights, head_weights
from core.training.plan import pictures_question

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

LOOK_EVERY = 0.2
"""Seconds between two looks at what another process computes."""
SHOWN, DOUBTFUL = 20, 8
"""Mistakes, and doubtful pictures, that the text output names."""


def add_to(commands: "Commands") -> None:
    """Declare the command."""
    command = commands.add_parser("results", help="all that the tabs of a run show: mistakes, classes, doubts …")
    command.add_argument("run", type=int, help="the number of a run")
    command.add_argument("--json", action="store_true", help="print one object")
    command.set_defaults(command=show)


def show(options: argparse.Namespace) -> None:
    """Print the results. Raises UnknownRun, BadCheckpoint, BadData or JobFailed."""
    store = open_store()
    run = answering(store, options.run)
    demand_weights(run)
    evaluation = Evaluation.from_json(answer_of(store, EVALUATE, RunArguments(run=run.id)))
    weights = head_weights(home.weights_file(run.id), run.recipe)
    kept = store.runs.kept(run.id)
    moved = dict(kept[1].moved) if kept else {}
    about = about_pictures(store, run)
    if options.json:
        print(json.dumps(as_json(run, evaluation, weights, moved) | about))
    else:
        print_results(evaluation, weights, moved)
        print_about_pictures(about)


def about_pictures(store: Store, run: Run) -> dict[str, Any]:
    """What needs the pictures themselves, as plain values: the map, the doubtful ones, shortcuts, the learning curve.

    Where the pictures are gone, say, it is only a sentence about that.
    """
    question = pictures_question(run.recipe)
    try:
        run.demand_training_pictures()
        points = answer_of(store, MAP, RunArguments(run=run.id))
        return {
            "map": {name: value for name, value in points.items() if name != "sheet"},
            "doubts": answer_of(store, DOUBTS, question),
            "shortcuts": answer_of(store, SHORTCUTS, DataArguments(data=Path(run.recipe.data)))["shortcuts"],
            "more_pictures": answer_of(store, MORE, question),
        }
    except (BadData, JobFailed) as error:
        return {"unanswered": str(error)}


def answer_of(store: Store, kind: Kind[Given], given: Given) -> Mapping[str, Any]:
    """The answer of a light job, computed here unless it is there already, or on its way. Raises JobFailed."""
    job = request(store, kind, given, worker=process_id())
    if job.live and job.worker == process_id():
        watched(drive(store, job))
    while (known := store.jobs.get(job.id)) and known.live:
        ensure_progress(store)
        threading.Event().wait(LOOK_EVERY)
    found = results.read(known) if known else None
    if found is None:
        raise JobFailed((known and known.message) or "The results were deleted meanwhile; ask again.")
    return found


def as_json(run: Run, evaluation: Evaluation, weights: HeadWeights, moved: dict[str, float]) -> dict[str, Any]:
    """All of it as plain values, classes by their names."""
    names, counted = evaluation.classes, score(evaluation.confusion)
    baselines = {"guessing": evaluation.guessing, "untrained": evaluation.untrained}
    return {
        "run": run.id,
        "kept_epoch": evaluation.epoch,
        "validation": counted and counted.to_json(),
        "balanced_accuracy": balanced_accuracy(evaluation.confusion),
        "baselines": {name: one and one.to_json() for name, one in baselines.items()},
        "classes": {
            name: {
                "pictures": one.images,
                "right": one.right,
                "recall": one.recall,
                "precision": one.precision,
                "f1": one.f1,
            }
            for name, one in zip(names, by_class(evaluation.confusion, len(names)), strict=True)
        },
        "confusion": [
            {"class": names[own], "taken_for": names[said], "pictures": count}
            for own, said, count in evaluation.confusion
        ],
        "pictures": [
            {
                "image": str(one.path),
                "class": names[one.label],
                "probabilities": dict(zip(names, one.shares, strict=True)),
            }
            for one in evaluation.answers
        ],
        "moved": moved,
        "head": {"weights": weights.count, "zeros": weights.zeros, "near_zero": weights.near},
    }


def print_results(evaluation: Evaluation, weights: HeadWeights, moved: dict[str, float]) -> None:
    """The figures, a table of the classes, and the surest mistakes."""
    console, names = Console(), evaluation.classes
    if counted := score(evaluation.confusion):
        console.print(f"validation: {counted.in_full()}, after epoch {evaluation.epoch}", markup=False)
    table = Table("class", "pictures", "right", "recall", "precision", "F1")
    for name, one in zip(names, by_class(evaluation.confusion, len(names)), strict=True):
        shares = ("–" if share is None else percent(share) for share in (one.recall, one.precision, one.f1))
        table.add_row(Text(name), str(one.images), str(one.right), *shares)
    console.print(table)
    for title, baseline in (("guessing", evaluation.guessing), ("before it learnt", evaluation.untrained)):
        if baseline:
            console.print(f"{title}: {baseline.in_words()}", markup=False)
    if words := moved_in_words(moved, weights.zeros):
        console.print(str(words), markup=False)
    mistakes = evaluation.mistakes()
    for wrong in mistakes[:SHOWN]:
        taken = f"{names[wrong.label]}, taken for {names[wrong.said]} ({percent(wrong.confidence)})"
        console.print(f"{wrong.path}: {taken}", markup=False, soft_wrap=True)
    if more := len(mistakes[SHOWN:]):
        console.print(f"and {more:,} more")


def print_about_pictures(about: Mapping[str, Any]) -> None:
    """In sentences; a map cannot be said in words."""
    console = Console()
    if "unanswered" in about:
        console.print(f"Nothing more can be said: {about['unanswered']}", markup=False)
        return
    doubts = about["doubts"]
    for shortcut in about["shortcuts"]:
        console.print(str(Message.parse(shortcut["sentence"])), markup=False)
    for doubt in doubts["doubts"][:DOUBTFUL]:
        own, said = (doubts["classes"][doubt[name]] for name in ("label", "said"))
        console.print(f"{doubt['path']}: {own}; perhaps {said}", markup=False, soft_wrap=True)
    console.print(str(Message.parse(about["more_pictures"]["sentence"])), markup=False)
