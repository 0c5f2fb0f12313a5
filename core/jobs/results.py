"""What light jobs return, kept with the data set or run that it is about; and what killed ones leave, cleared away."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from core import files, home
from core.data import datasets
from core.errors import BadData
from core.intake.importer import clear_staging
from core.jobs.job import Job
from core.jobs.store import Store

KEPT = 40
"""Results that are kept of one data set or run; the oldest go first."""
ROW = 10_000
"""Characters of a result above which it is a file and no part of the job's row."""
FILE = "result.json"
UPLOADING = 3600.0
"""Seconds after which the files of a browser that nobody asked for, and half downloads, count as forgotten."""
ABANDONED = 24 * 3600.0
"""Seconds after which staged pictures count as left over whose job nobody remembers."""


def folder_of(about: str | None, job: str) -> Path:
    """The folder for files that a job returns. A data set of Thaw's and a run have their results inside their own."""
    kind, _, name = (about or "").partition(":")
    if kind == "run":
        above = home.run_folder(int(name)) / "results"
    elif kind == "data" and datasets.is_dataset(Path(name)):
        above = datasets.results_folder(Path(name))
    else:
        above = home.results_folder() / hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return above / job


def keep(about: str | None, folder: Path, result: Mapping[str, Any]) -> Mapping[str, Any]:
    """What goes into the job's row: the result, or the name of the file in `folder` that has it.

    Raises BadData when what it is about was deleted meanwhile, OSError when the disk is full.
    """
    kind, _, name = (about or "").partition(":")
    if kind == "data" and _is_deleted(Path(name)):
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # Where the whole folder was deleted, this job has made it anew.
            folder.parent.rmdir()
            folder.parent.parent.rmdir()
        raise BadData("The pictures were deleted meanwhile; choose others.")
    if len(json.dumps(result)) <= ROW:
        return result
    files.write_json(folder / FILE, result)
    return {"file": str(folder / FILE)}


def _is_deleted(data: Path) -> bool:
    """Whether pictures are gone; of a data set that runs name, the record stays."""
    if data.parent != home.data_folder():
        return not data.exists()
    return not datasets.is_dataset(data) or datasets.read_dataset(data).deleted is not None


def read(job: Job) -> Mapping[str, Any] | None:
    """What a finished job returned; None where its files are gone or damaged."""
    if job.result is None or "file" not in job.result:
        return job.result
    try:
        result: Mapping[str, Any] = files.read_json(Path(job.result["file"]))
    except (OSError, ValueError):
        return None
    return result


def forget(store: Store, job: Job) -> None:
    """Delete an ended job with its files."""
    shutil.rmtree(folder_of(job.about, job.id), ignore_errors=True)
    store.jobs.forget([job.id])


def discard(job: Job) -> None:
    """Delete what a job has left that ended without a result: files of its result, and its upload."""
    shutil.rmtree(folder_of(job.about, job.id), ignore_errors=True)
    delete_upload(job)


def delete_upload(job: Job) -> None:
    """Delete the files that came from a browser for this job."""
    for name in ("file", "upload"):
        path = Path(job.arguments.get(name) or "/")
        if home.uploads_folder() in path.parents:
            top = path.relative_to(home.uploads_folder()).parts[0]
            shutil.rmtree(home.uploads_folder() / top, ignore_errors=True)


def prune(store: Store, about: str | None) -> None:
    """Keep the KEPT newest results about a data set or run."""
    for old in store.jobs.ended(about)[KEPT:]:
        forget(store, old)


def delete_dataset(store: Store, data: datasets.DataSet, keep_record: bool) -> None:
    """Delete a data set with all results about it; with `keep_record`, its name and source stay for its runs."""
    about = f"data:{data.folder}"
    for job in store.jobs.live():
        if job.about == about:
            store.jobs.request_stop(job.id)
    for job in store.jobs.ended(about):
        forget(store, job)
    datasets.delete_dataset(data, keep_record)


def tidy(store: Store) -> None:
    """Delete what nobody needs: staged pictures of jobs that are not live, half downloads, lost uploads, and frozen
    weights that no run rests on any more.
    """
    live = store.jobs.live()

    def is_over(token: str, age: float) -> bool:
        job = store.jobs.get(token)
        return age > ABANDONED if job is None else not job.live

    clear_staging(home.data_folder(), is_over)
    for folder in (home.downloads_folder(), *home.downloads_folder().glob("*/")):
        files.sweep(folder, UPLOADING)
    files.drop_unshared(home.features_folder() / home.FROZEN, ABANDONED)
    used = json.dumps([dict(job.arguments) for job in live])
    for upload in home.uploads_folder().glob("*"):
        if upload.name not in used and time.time() - upload.stat().st_mtime > UPLOADING:
            shutil.rmtree(upload, ignore_errors=True)
