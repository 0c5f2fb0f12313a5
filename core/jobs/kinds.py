"""The kinds of tasks: each a generator that says how far it is and returns plain values."""

import shutil
from collections.abc import Callable, Generator
from itertools import chain
from pathlib import Path
from typing import Any

from core import home
from core.data import datasets
from core.events import Progress
from core.intake import importer
from core.intake.archive import Incoming, upload_members
from core.intake.importer import create_dataset, extend_dataset
from core.recipe import parse

Job = Generator[Progress, None, dict[str, Any]]
"""Says how far it is, and returns plain values."""

UPLOADS = "uploads"
"""The folder, in a task's own, of files that came from a browser."""


def job(kind: str, folder: Path, arguments: dict[str, Any]) -> Job:
    """The work of a task of that kind, whose own folder is `folder`."""
    kinds: dict[str, Callable[..., Job]] = {
        "archive": _archive,
        "files": _files,
        "known": _known,
        "inspect": _inspect,
        "preview": _preview,
    }
    return kinds[kind](folder, **arguments)


def _archive(folder: Path, name: str, source: str, file: str | None = None, title: str | None = None) -> Job:
    """Import an archive: a `file` of the server's, or the one that was uploaded and is called `title`."""
    try:
        path = Path(file) if file else next((folder / UPLOADS).iterdir())
        made = yield from create_dataset(
            home.data_folder(), name, source, importer.archive_members(path, title), folder.name
        )
    finally:
        shutil.rmtree(folder / UPLOADS, ignore_errors=True)
    return {"data": str(made.folder)}


def _files(folder: Path, name: str, source: str, into: str | None = None) -> Job:
    """Import uploaded files, in folders that are their classes, as a data set or `into` one."""
    try:
        incoming = upload_members(folder / UPLOADS)
        if into:
            made = yield from extend_dataset(datasets.read_dataset(Path(into)), incoming, folder.name)
        else:
            made = yield from create_dataset(home.data_folder(), name, source, incoming, folder.name)
    finally:
        shutil.rmtree(folder / UPLOADS, ignore_errors=True)
    return {"data": str(made.folder)}


def _known(folder: Path, name: str, per_class: int | None) -> Job:
    """Download one of torchvision's data sets, and import it."""
    # Imported here because it brings torch along.
    from core.intake.public import PUBLIC_SETS
    from core.intake.public_fetch import public_members

    arriving = public_members(name, home.thaw_home() / "downloads", per_class)
    first: list[Incoming] = []
    for one in arriving:  # First what is downloaded, then pictures only.
        if not isinstance(one, Progress):
            first.append(one)
            break
        yield one
    incoming = (one for one in chain(first, arriving) if not isinstance(one, Progress))
    known = PUBLIC_SETS[name]
    source = f"torchvision's {name}, {known.source}; licence: {known.licence}"
    made = yield from create_dataset(home.data_folder(), known.title, source, incoming, folder.name)
    return {"data": str(made.folder)}


def _inspect(_folder: Path, data: str, val_fraction: float, seed: int) -> Job:
    """Look at every picture; the facts are remembered, the remarks returned."""
    # Imported here because imagehash brings scipy along, which the dashboard does without.
    from core.data.picture_info import memo_file
    from core.data.quality import inspect

    path = Path(data)
    seen = yield from inspect(path, memo_file(path), val_fraction, seed)
    remarks = [
        {
            "text": remark.text.to_json(),
            "pictures": [str(p) for p in remark.pictures],
            "remedy": remark.remedy.to_json(),
            "leave_out": [str(p) for p in remark.leave_out],
        }
        for remark in seen.issues
    ]
    facts = {
        str(path): [known.width, known.height, known.problem and known.problem.to_json()]
        for path, known in seen.infos.items()
    }
    return {"remarks": remarks, "facts": facts, "fault": seen.fault and seen.fault.to_json()}


def _preview(folder: Path, settings: dict[str, Any]) -> Job:
    """What the network sees in its first batch: the files of pictures, and their classes."""
    yield Progress("Loading torch", 0, 1)
    from core.results.preview import first_batch

    seen = first_batch(parse(settings))
    files = [folder / f"{number}.png" for number in range(len(seen))]
    for file, (image, _label) in zip(files, seen, strict=True):
        image.save(file)
    return {"images": [str(file) for file in files], "labels": [label for _image, label in seen]}
