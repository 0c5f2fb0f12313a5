"""Light jobs for tests: requests of every kind, worker processes as the dashboard starts them, and what is left."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

import psutil
from PIL import Image

from core import home
from core.intake.archive import store_upload
from core.jobs.job import Job
from core.jobs.kinds import request
from core.jobs.picture_kinds import (
    ARCHIVE,
    CAMERA,
    INSPECT,
    PREVIEW,
    UPLOAD,
    ArchiveArguments,
    InspectArguments,
    PreviewArguments,
    UploadArguments,
)
from core.jobs.run_kinds import RATES
from core.jobs.store import Store
from core.jobs.worker import ensure_progress
from tests.conftest import small_recipe
from tests.core.intake.bad_archives import zipped

KINDS = ("archive", "upload", "camera", "inspect", "preview", "rates")


@contextmanager
def workers_ended() -> Iterator[None]:
    """End the workers that this process has started, at the end."""
    try:
        yield
    finally:
        alive = _children("core.jobs.worker")
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=10)


def light_processes() -> list[psutil.Process]:
    """The light workers that this process has started and that live."""
    return _children("light")


def _children(word: str) -> list[psutil.Process]:
    """Children of this process with that word in their command lines."""
    found = []
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if word in process.cmdline():
                found.append(process)
    return found


def large_picture(side: int = 3000) -> bytes:
    """Few bytes, and slow to decode."""
    file = BytesIO()
    Image.new("RGB", (side, side)).save(file, "JPEG")
    return file.getvalue()


def pictures(count: int, content: bytes | None = None) -> dict[str, bytes]:
    """So many of two classes; no two are the same file."""
    content = content or large_picture()
    return {f"{'ab'[n % 2]}/{n}.jpg": content + n.to_bytes(4) for n in range(count)}


def ask(store: Store, kind: str, scratch: Path, files: dict[str, bytes], seed: int = 0) -> Job:
    """Request light work of a kind on `files`."""
    if kind == "archive":
        file = scratch / "pictures.zip"
        return request(store, ARCHIVE, ArchiveArguments(name="mine", source="", file=zipped(file, files)))
    if kind in ("upload", "camera"):
        upload = home.uploads_folder() / f"{kind}-{scratch.name}"
        store_upload(upload, files.items())
        kinds = {"upload": UPLOAD, "camera": CAMERA}
        return request(store, kinds[kind], UploadArguments(name="mine", source="", upload=upload))
    folder = scratch / "folder"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    if kind == "inspect":
        return request(store, INSPECT, InspectArguments(data=folder, val_fraction=0.25, seed=seed))
    recipe = small_recipe(folder, seed=seed)
    if kind == "rates":
        return request(store, RATES, recipe)
    return request(store, PREVIEW, PreviewArguments(settings=recipe.model_dump(mode="json")))


def known(store: Store, job: Job) -> Job:
    found = store.jobs.get(job.id)
    assert found is not None
    return found


def until(store: Store, happened: Callable[[], object], looks: int = 1200) -> int:
    """Look again and again, as the dashboard does, which also sees to it that workers are there; how many looks."""
    for look in range(looks):
        if happened():
            return look
        ensure_progress(store)
        time.sleep(0.05)
    raise AssertionError(f"not within {looks} looks; jobs: {store.jobs.live()}")


def at_work(store: Store, job: Job) -> bool:
    """Whether a job has begun, and said how far it is."""
    found = known(store, job)
    assert found.live, found
    return found.status == "running" and found.progress is not None and found.progress.done > 0


def process_of(job: Job) -> psutil.Process:
    """The worker of a running job."""
    assert job.worker is not None
    return psutil.Process(int(job.worker.split("/")[1]))


def leftovers() -> list[Path]:
    """Whatever work has left in the home: pictures on their way, data sets, uploads, results."""
    folders = (home.data_folder(), home.uploads_folder(), home.results_folder(), home.downloads_folder())
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
    return [path for path in files if not path.name.endswith(".lock")] + list(home.data_folder().glob(".staging-*"))
