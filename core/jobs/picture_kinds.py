"""Work about pictures: imports, what is to be seen to, what a network would be shown, and what may mislead it."""

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from core import home
from core.data import datasets
from core.data.scan import read_image_folder
from core.data.split import Draw
from core.events import Progress
from core.intake.archive import Incoming, upload_members
from core.intake.importer import archive_members, create_dataset, extend_dataset
from core.intake.public import PUBLIC_SETS
from core.jobs.job import LOADING, Arguments, Desk, Kind, Result, Work, about_data
from core.recipe_settings import parse
from core.results.shortcuts import as_json, find_shortcuts


class ArchiveArguments(Arguments):
    """An archive: a `file` of the server's, or one that was uploaded and is called `title`."""

    name: str
    source: str
    file: Path
    title: str | None = None


class UploadArguments(Arguments):
    """Files in the folder `upload` (`core.intake.archive.store_upload`), as a data set or into an own one."""

    name: str
    source: str
    upload: Path
    into: Path | None = None


class PublicArguments(Arguments):
    """One of PUBLIC_SETS; `per_class` pictures of each class at the most, or all."""

    name: str
    per_class: int | None = None


class InspectArguments(Arguments):
    """The pictures at `data`, split as they would be for training."""

    data: Path
    val_fraction: float
    seed: int
    test_fraction: float = 0.0
    folds: int = 1
    fold: int = 1


class DataArguments(Arguments):
    """The pictures at `data`."""

    data: Path


class PreviewArguments(Arguments):
    """A recipe's settings."""

    settings: dict[str, Any]


def _import_archive(given: ArchiveArguments, desk: Desk) -> Work:
    members = archive_members(given.file, given.title)
    made = yield from create_dataset(home.data_folder(), given.name, given.source, members, desk.job)
    return _imported(made)


def _import_files(given: UploadArguments, desk: Desk) -> Work:
    incoming = upload_members(given.upload)
    if given.into:
        made = yield from extend_dataset(datasets.read_dataset(given.into), incoming, desk.job)
    else:
        made = yield from create_dataset(home.data_folder(), given.name, given.source, incoming, desk.job)
    return _imported(made)


def _import_public(given: PublicArguments, desk: Desk) -> Work:
    from core.intake.public_fetch import public_members  # Imported here because it brings torch along.

    arriving = public_members(given.name, home.downloads_folder(), given.per_class)
    first: list[Incoming] = []
    for one in arriving:  # First what is downloaded, then pictures only.
        if not isinstance(one, Progress):
            first.append(one)
            break
        yield one
    incoming = (one for one in chain(first, arriving) if not isinstance(one, Progress))
    public = PUBLIC_SETS[given.name]
    source = f"torchvision's {given.name}, {public.source}; licence: {public.licence}"
    made = yield from create_dataset(home.data_folder(), public.title, source, incoming, desk.job)
    return _imported(made)


def _imported(made: datasets.DataSet) -> Result:
    return {"data": str(made.folder)}


def _inspect(given: InspectArguments, _desk: Desk) -> Work:
    # Imported here because imagehash brings scipy along, which the dashboard does without.
    from core.data.picture_info import memo_file
    from core.data.quality import inspect

    draw = Draw(**given.model_dump(exclude={"data"}))
    seen = yield from inspect(given.data, memo_file(given.data), draw)
    issues = [issue.to_json() for issue in seen.issues]
    infos = {
        str(path): [info.width, info.height, info.problem and info.problem.to_json()]
        for path, info in seen.infos.items()
    }
    return {"issues": issues, "infos": infos, "fault": seen.fault and seen.fault.to_json()}


def _preview(given: PreviewArguments, desk: Desk) -> Work:
    yield LOADING
    from core.training.setup import first_batch  # Imported here because it brings torch along.

    seen = first_batch(parse(given.settings))
    desk.results.mkdir(parents=True, exist_ok=True)
    files = [desk.results / f"{number}.png" for number in range(len(seen))]
    for file, (image, _label) in zip(files, seen, strict=True):
        image.save(file)
    return {"images": [str(file) for file in files], "labels": [label for _image, label in seen]}


def _shortcuts(given: DataArguments, _desk: Desk) -> Work:
    folder = read_image_folder(given.data)
    found = yield from find_shortcuts((*folder.train, *(folder.val or ())), len(folder.classes))
    return {"classes": list(folder.classes), "shortcuts": as_json(found, folder.classes)}


def _about_new_data(_given: Arguments, result: Result | None) -> str | None:
    return about_data(result["data"]) if result else None


ARCHIVE = Kind(name="archive", lane="light", arguments=ArchiveArguments, work=_import_archive, about=_about_new_data)
UPLOAD = Kind(name="upload", lane="light", arguments=UploadArguments, work=_import_files, about=_about_new_data)
CAMERA = replace(UPLOAD, name="camera", is_quick=True)
PUBLIC = Kind(name="public", lane="light", arguments=PublicArguments, work=_import_public, about=_about_new_data)
INSPECT = Kind(
    name="inspect",
    lane="light",
    arguments=InspectArguments,
    work=_inspect,
    pictures=lambda given: given.data,
    about=lambda given, _result: about_data(given.data),
)
PREVIEW = Kind(
    name="preview",
    lane="light",
    arguments=PreviewArguments,
    work=_preview,
    is_quick=True,
    pictures=lambda given: Path(parse(given.settings).data),
    about=lambda given, _result: about_data(parse(given.settings).data),
)
SHORTCUTS = Kind(
    name="shortcuts",
    lane="light",
    arguments=DataArguments,
    work=_shortcuts,
    pictures=lambda given: given.data,
    about=lambda given, _result: about_data(given.data),
)
IMPORTS = (ARCHIVE, UPLOAD, CAMERA, PUBLIC)
