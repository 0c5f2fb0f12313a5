"""What the store knows of a run, in words for people who get it as a file."""

from contextlib import suppress
from pathlib import Path

from core.backbones import catalogue
from core.data import datasets
from core.errors import BadData
from core.events import EpochEnded, RunStarted
from core.jobs.job import Run
from core.jobs.store import Store
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
    epochs = tuple(event for _row, event in store.runs.events(run.id) if isinstance(event, EpochEnded))
    return Facts(title_of(run), tuple(figures), data_of(store, run), epochs)


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
