"""`python -m core check DATA` and `import ARCHIVE`: pictures before they are trained on."""

import argparse
import json
import signal
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table

from core import home
from core.data import datasets
from core.data.picture_info import memo_file
from core.data.quality import Inspection, inspect
from core.data.split import Draw
from core.errors import BadData, NotNow
from core.events import Event, Progress
from core.jobs.drive import drive
from core.jobs.kinds import request
from core.jobs.picture_kinds import ARCHIVE, ArchiveArguments
from core.jobs.process import process_id
from core.jobs.store import open_store

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

Result = TypeVar("Result")
SHOWN = 20
"""Classes, or skipped files, that the text output names."""


def add_to(commands: "Commands") -> None:
    """Declare the commands."""
    command = commands.add_parser("check", help="look at every picture of a folder or data set, and say what is wrong")
    command.add_argument("data", help="a folder, or the name of an imported data set")
    command.add_argument("--val-fraction", type=float, default=0.25, help="share that is held out for validation")
    command.add_argument("--test-fraction", type=float, default=0.0, help="share that is held out for a test")
    command.add_argument("--seed", type=int, default=0, help="of the draw of what is held out")
    command.add_argument("--json", action="store_true", help="print one object")
    command.set_defaults(command=check_pictures)
    command = commands.add_parser("import", help="take the pictures of a zip or tar archive in, as a data set")
    command.add_argument("archive", type=Path, help="class folders, with or without train/, val/ and test/")
    command.add_argument("--name", help="of the data set; the archive's when left out")
    command.add_argument("--source", default="", help="a note about where the pictures come from")
    command.set_defaults(command=import_archive)


def check_pictures(options: argparse.Namespace) -> None:
    """Print what there is. Raises BadData when nothing can be trained on it."""
    path = data_path(options.data)
    draw = Draw(options.val_fraction, options.seed, options.test_fraction)
    inspection = watched(inspect(path, memo_file(path), draw))
    if options.json:
        print(json.dumps(as_json(inspection)))
    else:
        print_inspection(inspection)
    if inspection.fault:
        raise BadData(inspection.fault)


def import_archive(options: argparse.Namespace) -> None:
    """Import an archive; Ctrl-C leaves nothing behind. Raises BadData, JobFailed, or NotNow after Ctrl-C."""
    if not options.archive.is_file():
        raise BadData("{path} is not a file; give the path of a zip or tar archive.", path=options.archive)
    name = options.name or options.archive.name.split(".")[0]
    given = ArchiveArguments(name=name, source=options.source, file=options.archive.resolve())
    store = open_store()
    job = request(store, ARCHIVE, given, worker=process_id())
    signal.signal(signal.SIGINT, lambda *_: store.jobs.request_stop(job.id))
    watched(drive(store, job))
    ended = store.jobs.get(job.id)
    if ended is None or ended.result is None:
        raise NotNow("The import was cancelled; nothing is left of it.")
    made = datasets.read_dataset(Path(ended.result["data"]))
    console = Console()
    console.print(f"{made.name}: {len(datasets.read_index(made.folder)):,} pictures in {made.folder}", markup=False)
    for one in made.skipped[:SHOWN]:
        console.print(f"left out: {one.name}: {one.reason}", markup=False)
    if (more := len(made.skipped) + made.more_skipped - SHOWN) > 0:
        console.print(f"and {more:,} more")
    for notice in made.notices:
        console.print(str(notice), markup=False)


def data_path(given: str) -> Path:
    """A folder by its path, or a data set by its name."""
    named = [data.folder for data in datasets.list_datasets(home.data_folder()) if data.name == given]
    return Path(given).resolve() if Path(given).is_dir() or not named else named[0]


def watched(job: Generator[Event, None, Result]) -> Result:
    """What the job returns; a bar on standard error shows how far it is."""
    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        while True:
            try:
                event = next(job)
            except StopIteration as end:
                result: Result = end.value
                return result
            if isinstance(event, Progress):
                bar.update(task, description=str(event.stage), completed=event.done, total=event.total)


def as_json(inspection: Inspection) -> dict[str, Any]:
    """The inspection as plain values: paths and sentences as text."""
    notices = inspection.folder.notices if inspection.folder else inspection.scanned.notices
    return {
        "classes": Counter(picture.label for picture in inspection.scanned.pictures),
        "damaged": {str(path): str(info.problem) for path, info in inspection.infos.items() if info.problem},
        "remarks": [
            {"text": str(issue.text), "remedy": str(issue.remedy), "pictures": [str(path) for path in issue.pictures]}
            for issue in inspection.issues
        ],
        "notices": [str(notice) for notice in notices],
        "fault": str(inspection.fault) if inspection.fault else None,
    }


def print_inspection(inspection: Inspection) -> None:
    """A table of classes and a line per issue."""
    console = Console()
    counts = Counter(picture.label for picture in inspection.scanned.pictures)
    table = Table("class", "pictures")
    for label, count in list(counts.items())[:SHOWN]:
        table.add_row(label.replace("[", r"\["), f"{count:,}")
    if len(counts) > SHOWN:
        table.add_row(f"{len(counts) - SHOWN:,} more", f"{sum(list(counts.values())[SHOWN:]):,}")
    console.print(table)
    for issue in inspection.issues:
        console.print(f"- {issue.text}", markup=False)
    for path, info in [(path, info) for path, info in inspection.infos.items() if info.problem][:SHOWN]:
        console.print(f"  {path} {info.problem}", markup=False)
    for notice in inspection.folder.notices if inspection.folder else ():
        console.print(f"- {notice}", markup=False)
