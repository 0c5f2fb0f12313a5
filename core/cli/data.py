"""`python -m core check DATA` and `import ARCHIVE`: pictures before they are trained on."""

import argparse
import json
import secrets
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table

from core import home
from core.data import datasets
from core.data.quality import Inspection, inspect
from core.errors import BadData
from core.events import Progress
from core.intake import importer
from core.intake.importer import create_dataset

if TYPE_CHECKING:
    from core.cli.commands import Commands

Result = TypeVar("Result")
SHOWN = 20
"""Classes, or skipped files, that the text output names."""


def add_to(commands: "Commands") -> None:
    """Declare the commands."""
    command = commands.add_parser("check", help="look at every picture of a folder or data set, and say what is wrong")
    command.add_argument("data", help="a folder, or the name of an imported data set")
    command.add_argument("--val-fraction", type=float, default=0.25, help="share that is held out for validation")
    command.add_argument("--seed", type=int, default=0, help="of the draw of the validation pictures")
    command.add_argument("--json", action="store_true", help="print one object")
    command.set_defaults(command=check)
    command = commands.add_parser("import", help="take the pictures of a zip or tar archive in, as a data set")
    command.add_argument("archive", type=Path, help="class folders, with or without train/ and val/")
    command.add_argument("--name", help="of the data set; the archive's when left out")
    command.add_argument("--source", default="", help="a note about where the pictures come from")
    command.set_defaults(command=bring_in)


def check(options: argparse.Namespace) -> None:
    """Print what there is. Raises BadData when nothing can be trained on it."""
    path = data_path(options.data)
    inspection = watched(inspect(path, home.picture_info_file(path), options.val_fraction, options.seed))
    if options.json:
        print(json.dumps(as_json(inspection)))
    else:
        draw(inspection)
    if inspection.fault:
        raise BadData(inspection.fault)


def bring_in(options: argparse.Namespace) -> None:
    """Import an archive; Ctrl-C leaves nothing behind. Raises BadData."""
    if not options.archive.is_file():
        raise BadData(f"{options.archive} is not a file; give the path of a zip or tar archive.")
    name = options.name or options.archive.name.split(".")[0]
    incoming = importer.archive_members(options.archive)
    made = watched(create_dataset(home.data_folder(), name, options.source, incoming, secrets.token_hex(8)))
    console = Console()
    console.print(f"{made.name}: {len(datasets.read_index(made.folder)):,} pictures in {made.folder}", markup=False)
    for one in made.skipped[:SHOWN]:
        console.print(f"left out: {one.name}: {one.reason}", markup=False)
    if (more := len(made.skipped) + made.more_skipped - SHOWN) > 0:
        console.print(f"and {more:,} more")
    for notice in made.notices:
        console.print(notice, markup=False)


def data_path(given: str) -> Path:
    """A folder by its path, or a data set by its name."""
    named = [one.folder for one in datasets.list_datasets(home.data_folder()) if one.name == given]
    return Path(given).resolve() if Path(given).is_dir() or not named else named[0]


def watched(job: Generator[Progress, None, Result]) -> Result:
    """What the job returns; a bar on standard error shows how far it is."""
    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        while True:
            try:
                event = next(job)
            except StopIteration as end:
                result: Result = end.value
                return result
            bar.update(task, description=event.stage, completed=event.done, total=event.total)


def as_json(inspection: Inspection) -> dict[str, Any]:
    """The inspection as plain values, paths as text."""
    counts = Counter(picture.label for picture in inspection.found.pictures)
    bad = {str(path): known.problem for path, known in inspection.facts.items() if known.problem}
    remarks = [
        {"text": remark.text, "remedy": remark.remedy, "pictures": [str(path) for path in remark.pictures]}
        for remark in inspection.remarks
    ]
    notices = list(inspection.folder.notices if inspection.folder else inspection.found.notices)
    return {"classes": counts, "damaged": bad, "remarks": remarks, "notices": notices, "fault": inspection.fault}


def draw(inspection: Inspection) -> None:
    """A table of classes and a line per remark."""
    console = Console()
    counts = Counter(picture.label for picture in inspection.found.pictures)
    table = Table("class", "pictures")
    for label, count in list(counts.items())[:SHOWN]:
        table.add_row(label.replace("[", r"\["), f"{count:,}")
    if len(counts) > SHOWN:
        table.add_row(f"{len(counts) - SHOWN:,} more", f"{sum(list(counts.values())[SHOWN:]):,}")
    console.print(table)
    for remark in inspection.remarks:
        console.print(f"- {remark.text}", markup=False)
    for path, known in [(path, known) for path, known in inspection.facts.items() if known.problem][:SHOWN]:
        console.print(f"  {path} {known.problem}", markup=False)
    for notice in inspection.folder.notices if inspection.folder else ():
        console.print(f"- {notice}", markup=False)
