"""A run as files: what the store says of it to those that are taken home, and its place when it comes in a bundle."""

import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path

from core import home
from core.backbones import catalogue
from core.data import datasets
from core.errors import BadData
from core.events import Event, Metrics, RunStarted, StepEnded
from core.jobs.job import OPENED, STEP_COLUMNS, Run
from core.jobs.store import Store
from core.results.answers import Evaluation
from core.results.export.bundle import read_bundle
from core.results.export.card import Facts


def facts_of(store: Store, number: int) -> Facts:
    """Title, figures and data of a run that is no family. Raises UnknownRun."""
    run = store.runs.get(number)
    figures = [("Validation", str(run.val.in_full()))] if run.val else []
    if run.balanced_accuracy is not None:
        figures.append(("Balanced accuracy in validation", f"{run.balanced_accuracy:.1%}"))
    if run.test:
        looks = f", looked at {run.test.looks} times so far" if run.test.looks > 1 else ""
        figures.append(("Test", f"{run.test.score.in_full()}{looks}"))
    return Facts(title_of(run), tuple(figures), data_of(store, run), tuple(everything_said(store, run.id)))


def everything_said(store: Store, run: int) -> Iterator[Event]:
    """The steps of a run, then all else that it said."""
    for row in store.runs.steps(run):
        values = dict(zip(STEP_COLUMNS, row.tolist(), strict=True))
        step, epoch, lr = int(values.pop("step")), int(values.pop("epoch")), values.pop("lr")
        yield StepEnded(step, epoch, lr, Metrics(**values))
    for _row, event in store.runs.events(run):
        yield event


def title_of(run: Run) -> str:
    """What to call it."""
    name = f"{run.name}, " if run.name else ""
    return f"{name}run {run.id}: {catalogue.get(run.recipe.backbone).title} on {data_name(run)}"


def data_name(run: Run) -> str:
    """What its pictures are called."""
    folder = Path(run.recipe.data)
    try:
        return datasets.read_dataset(folder).name if datasets.is_dataset(folder) else folder.name
    except BadData:
        return folder.name


def data_of(store: Store, run: Run) -> str:
    """How many pictures it has learnt from, and where they are from."""
    started = next((event for _row, event in store.runs.events(run.id) if isinstance(event, RunStarted)), None)
    counts = f"{started.train_images:,} pictures, with {started.val_images:,} held out" if started else "Pictures"
    folder, source = Path(run.recipe.data), ""
    with suppress(BadData):  # Where the record is damaged, the counts are known all the same.
        source = datasets.read_dataset(folder).source if datasets.is_dataset(folder) else ""
    return f"{counts}: {data_name(run)}{f', from {source}' if source else ''}."


def open_bundle(
    store: Store, file: Path, title: str, keep_answers: Callable[[int, Evaluation], None]
) -> Generator[Event, None, int]:
    """The number of the run that was in a bundle, which people call `title`.

    Raises BadData, BadCheckpoint or BadImage; nothing is left of it then.
    Until all is there the run counts as deleted, so that what a killed process leaves is forgotten as deleted runs are.
    """
    number = store.runs.reserve(OPENED, home.installation_id())
    try:
        opened = yield from read_bundle(file, title, home.run_folder(number))
        store.runs.fill(number, opened.recipe, opened.said)
        store.runs.annotate(number, name=opened.title, note=opened.data)
        if opened.evaluation:
            keep_answers(number, opened.evaluation)
    except BaseException:
        shutil.rmtree(home.run_folder(number), ignore_errors=True)
        raise
    store.runs.undelete([number])
    return number
