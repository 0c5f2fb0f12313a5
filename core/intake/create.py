"""New data sets, and more pictures for old ones: built aside, and moved into place at the end."""

import secrets
import shutil
import tempfile
import time
from collections.abc import Generator, Iterable
from dataclasses import asdict, replace
from pathlib import Path

from filelock import FileLock

from core.data import stored
from core.data.stored import DataSet
from core.errors import BadData
from core.events import Progress
from core.intake.incoming import Incoming
from core.intake.stage import Staged, stage

STAGING = ".staging-"
"""How the names of folders begin in which something is coming in."""
LISTED = 1000
"""Skipped files that are kept by name."""


def create(shelf: Path, name: str, source: str, incoming: Iterable[Incoming]) -> Generator[Progress, None, DataSet]:
    """A new data set of all that comes. Raises BadData when that is nothing; whatever ends it, nothing is left behind.

    It is built aside and moved into place at the end.
    """
    shelf.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=shelf, prefix=STAGING, ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch) / "data"
        staged = yield from stage(incoming, folder / stored.PICTURES)
        _demand_some(staged)
        stored.write_json(folder / stored.INDEX, {"pictures": _rows(staged)})
        with FileLock(shelf / stored.LOCK):
            target = shelf / stored.new_id(name)
            made = _with(DataSet(target, stored.free_name(shelf, name), source, time.time()), staged)
            stored.write(replace(made, folder=folder))
            folder.replace(target)
    return made


def extend(data: DataSet, incoming: Iterable[Incoming]) -> Generator[Progress, None, DataSet]:
    """More pictures for an imported data set; none when anything goes wrong. Raises BadData when nothing comes."""
    with tempfile.TemporaryDirectory(dir=data.folder, prefix=STAGING, ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch) / "more"
        staged = yield from stage(incoming, folder)
        _demand_some(staged)
        with FileLock(data.folder / stored.LOCK):
            known = stored.read(data.folder)
            batch = secrets.token_hex(4)
            folder.replace(data.folder / stored.PICTURES / batch)
            added = [[f"{batch}/{file}", *rest] for file, *rest in _rows(staged)]
            before = [list(asdict(taken).values()) for taken in stored.pictures(data.folder)]
            stored.write_json(data.folder / stored.INDEX, {"pictures": before + added})
            extended = _with(known, staged)
            stored.write(extended)
    return extended


def sweep(shelf: Path, older_than: float) -> None:
    """Delete what was coming in more than so many seconds ago, and whose process must be gone."""
    for folder in (*shelf.glob(f"{STAGING}*"), *shelf.glob(f"*/{STAGING}*")):
        if time.time() - folder.stat().st_mtime > older_than:
            shutil.rmtree(folder, ignore_errors=True)


def _with(data: DataSet, staged: Staged) -> DataSet:
    """The record once `staged` is in."""
    skipped = (*data.skipped, *staged.skipped)
    more = data.more_skipped + max(0, len(skipped) - LISTED)
    return replace(data, skipped=skipped[:LISTED], more_skipped=more, notices=(*data.notices, *staged.notices))


def _rows(staged: Staged) -> list[list[str]]:
    return [list(asdict(taken).values()) for taken in staged.pictures]


def _demand_some(staged: Staged) -> None:
    if staged.pictures:
        return
    if not staged.skipped:
        raise BadData("There are no pictures in it. Put them into one folder per class, such as cats/ and dogs/.")
    first = staged.skipped[0]
    raise BadData(f"No picture in it can be used. The first of {len(staged.skipped):,}: {first.name}: {first.reason}.")
