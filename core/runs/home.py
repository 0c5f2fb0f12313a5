"""Where Thaw keeps what it writes."""

import hashlib
import os
import shutil
import uuid
from pathlib import Path

from filelock import FileLock


def home() -> Path:
    """THAW_HOME, or ~/.thaw; made when it is not there yet."""
    folder = Path(os.environ.get("THAW_HOME") or Path.home() / ".thaw").expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def database_url() -> str:
    """THAW_DATABASE_URL, or the SQLite file of `home()`."""
    return os.environ.get("THAW_DATABASE_URL") or f"sqlite:///{(home() / 'thaw.sqlite').as_posix()}"


def identity() -> str:
    """A random name for this THAW_HOME; machines that share the folder have the same."""
    file = home() / "id"
    with FileLock(home() / "id.lock"):
        if not file.is_file():
            file.write_text(uuid.uuid4().hex, encoding="utf-8")
        return file.read_text(encoding="utf-8")


def worker_lock(place: int) -> Path:
    """Held by the worker process that serves the queue at that place."""
    return home() / f"worker-{place}.lock"


def features_folder() -> Path:
    """Where the features of frozen network parts are kept, for all runs."""
    return home() / "features"


def data_folder() -> Path:
    """Where data sets are kept (`core.data.stored`)."""
    return home() / "data"


def facts_file(data: Path) -> Path:
    """Remembers what the pictures at `data` are (`core.data.facts`)."""
    return home() / "facts" / f"{hashlib.sha256(str(data).encode()).hexdigest()[:16]}.json"


def tasks_folder() -> Path:
    """Where tasks say how far they are (`core.runs.task`)."""
    return home() / "tasks"


def run_folder(run: int) -> Path:
    """Where the files of a run are; made when it is not there yet."""
    folder = home() / "runs" / str(run)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def remove_run(run: int) -> None:
    """Delete the files of a run."""
    shutil.rmtree(home() / "runs" / str(run), ignore_errors=True)


def resume_file(run: int) -> Path:
    """The state from which a run goes on; there is none before its first checkpoint."""
    return run_folder(run) / "resume.pt"


def weights_file(run: int) -> Path:
    """The kept weights of a run; there is none before its first epoch has ended."""
    return run_folder(run) / "model.safetensors"
