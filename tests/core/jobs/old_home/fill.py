"""What `make.py` runs in the old code: `fill` makes the runs of an old THAW_HOME, `read` tells what is in one.

Both write JSON to standard output. `core` is the old code's: this process begins in its checkout.
"""

import json
import math
import random
import sqlite3
import sys
import time
import zipfile
from collections.abc import Iterable
from contextlib import closing
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw

from core import events
from core.data import edits, found, stored
from core.events import StepEnded
from core.recipe_settings import parse, to_settings
from core.runs import execute, home, jobs, task
from core.runs.launch import identity
from core.runs.run import STEP_COLUMNS
from core.runs.store import Store
from core.training import loop

SMALL = {"backbone": "squeezenet1_1", "image_size": 64, "device": "cpu", "precision": "fp32"}
"""A few seconds on a CPU; fp32, so that a run that goes on can be compared bit for bit."""
FINISHED = SMALL | {"epochs": 5, "batch_size": 16}
"""There are only 8 pictures to train on: the run says that it lowers the batch size."""
PAUSED = SMALL | {"data": "sample_data/digits", "epochs": 6}
DELETED = SMALL | {
    "data": "sample_data/stamps",
    "epochs": 2,
    "augment": "flip",
    "views": 2,
    "optimizer": {"name": "sgd", "lr": 0.005, "nesterov": True},
    "penalties": {"l2": 0.001},
}
PAUSE_AT = 23
"""A step in the middle of the third epoch: 300 pictures to train on in batches of 32 are 10 steps."""


def fill() -> dict[str, Any]:
    """Make four runs, in this order: finished, paused, deleted, and deleted and forgotten. Tells what is left."""
    execute.FLUSH_EVERY = loop.AFTER_EPOCHS = 0.0  # So what is written when does not depend on the machine.
    data = import_shapes()
    edits.remove(data.folder, [stored.pictures(data.folder)[3].file])

    store = Store(home.database_url())
    train(store, FINISHED | {"data": str(data.folder)})
    store.runs.annotate(
        1, name="Squares – {first} try", note="Two lines,\n100 % plain.", tags=("shapes", "Übung"), starred=True
    )
    train(store, PAUSED, pause_at=PAUSE_AT)
    train(store, DELETED)
    train(store, DELETED | {"epochs": 1})
    told = {str(run): about_run(store, run) for run in (1, 2, 3)}

    store.runs.delete([4])
    forgotten = store.runs.purge(0, home.identity())
    assert forgotten == [4]
    home.remove_run(4)
    store.runs.delete([3])
    store.close()
    told["3"]["deleted"] = True
    return {"runs": told, "data_set": about_data_set(), **about_tables()}


def import_shapes() -> stored.DataSet:
    """A zip of twelve drawn pictures, brought in as the old page does it: by a task in a process of its own."""
    folder = task.new()
    (folder / jobs.UPLOADS).mkdir()
    (folder / jobs.UPLOADS / "0").write_bytes(zipped_shapes())
    name = task.start(folder, "archive", name="shapes", source="drawn for a test", title="shapes.zip")
    while (state := task.state(name)).phase == "working":
        time.sleep(0.05)
    assert state.phase == "done", state
    (data,) = stored.all_on(home.data_folder())
    return data


def zipped_shapes() -> bytes:
    """Discs and squares in places and colours of their own."""
    draw = random.Random(0)
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for shape in ("discs", "squares"):
            for number in range(6):
                picture = Image.new("RGB", (48, 48), tuple(draw.randrange(100) for _ in range(3)))
                pen, left, top = ImageDraw.Draw(picture), draw.randrange(20), draw.randrange(20)
                form = pen.ellipse if shape == "discs" else pen.rectangle
                form((left, top, left + 26, top + 26), fill=tuple(draw.randrange(150, 256) for _ in range(3)))
                content = BytesIO()
                picture.save(content, "PNG")
                archive.writestr(zipfile.ZipInfo(f"shapes/{shape}/{number}.png"), content.getvalue())
    return packed.getvalue()


def train(store: Store, settings: dict[str, Any], pause_at: int | None = None) -> None:
    """Queue a run and carry it out, as the old worker does; `pause_at` is the last step before a pause."""
    store.runs.queue(parse(settings))
    run = store.jobs.claim(identity(), home.identity())
    assert run is not None
    for event in execute.execute(store, run):
        if isinstance(event, StepEnded) and event.step == pause_at:
            store.runs.request_pause(run.id)


def about_run(store: Store, number: int) -> dict[str, Any]:
    """What the old code reads of a run."""
    run = store.runs.get(number)
    said = [event for _, event in store.runs.events(number)]
    steps = store.runs.steps(number)
    return {
        "status": run.status,
        "recipe": to_settings(run.recipe),
        "name": run.name,
        "note": run.note,
        "tags": run.tags,
        "starred": run.starred,
        "deleted": False,
        "best_epoch": run.best_epoch,
        "best_accuracy": run.best_accuracy,
        "seconds": run.seconds,
        "events": [events.name(event) for event in said],
        "steps": len(steps),
        "sum_of_losses": math.fsum(steps[:, STEP_COLUMNS.index("loss")]),
    }


def about_data_set() -> dict[str, Any]:
    """What the old code reads of the one data set."""
    (data,) = stored.all_on(home.data_folder())
    findings = found.find(data.folder)
    return {
        "folder": data.folder.name,
        "name": data.name,
        "source": data.source,
        "pictures": len(findings.pictures),
        "left_out": len(findings.removed),
    }


def about_tables() -> dict[str, Any]:
    """How many rows each table has, and the last number that was given out in each: from the file itself."""
    with closing(sqlite3.connect(home.home() / "thaw.sqlite")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        rows = {name: count(database, name) for name in ("runs", "events", "steps")}
        numbers = dict(database.execute("SELECT name, seq FROM sqlite_sequence"))
    return {"rows": rows, "last_numbers": numbers, "next_run": numbers["runs"] + 1}


def count(database: sqlite3.Connection, table: str) -> int:
    """How many rows a table has."""
    (number,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(number)


def read(runs: Iterable[str]) -> dict[str, Any]:
    """What the old code reads of some runs."""
    store = Store(home.database_url())
    told = {run: about_run(store, int(run)) for run in runs}
    store.close()
    return told


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    json.dump(fill() if command == "fill" else read(arguments), sys.stdout)
