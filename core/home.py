"""Where Thaw keeps what it writes."""

import functools
import hashlib
import shutil
import uuid
from pathlib import Path

from filelock import FileLock

from core import files
from core.errors import BadSettings, Fault
from core.messages import Message
from core.settings import settings, variable

SAMPLE_DATA = Path(__file__).parents[1] / "sample_data"
"""The pictures that come along."""


def thaw_home() -> Path:
    """The folder that THAW_HOME names, or ~/.thaw; made when it is not there yet. Raises BadSettings."""
    folder = settings().home
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _try_to_write(folder)
    except OSError as error:
        advice = Message("cannot be used ({cause}); name a folder that can be written", cause=str(error.strerror))
        raise BadSettings([Fault(variable("home"), str(folder), advice)]) from error
    return folder


@functools.cache
def _try_to_write(folder: Path) -> None:
    """Raises OSError. Tried once, and not only asked: the system's answer is no promise for shared or odd folders."""
    probe = files.partial_name(folder / "probe")
    probe.touch(exist_ok=False)
    probe.unlink()


def installation_id() -> str:
    """A random name for this THAW_HOME; machines that share the folder have the same."""
    file = thaw_home() / "id"
    with FileLock(thaw_home() / "id.lock"):
        if not file.is_file():
            file.write_text(uuid.uuid4().hex, encoding="utf-8")
        return file.read_text(encoding="utf-8")


def worker_lock(lane: str, place: int) -> Path:
    """Held by the worker process that serves a lane of the queue at that place."""
    return thaw_home() / f"{'worker' if lane == 'training' else lane}-{place}.lock"


def features_folder() -> Path:
    """Where the features of frozen network parts are kept, for all runs."""
    return thaw_home() / "features"


FROZEN = "frozen"
"""The folder among the features of the frozen weights that kept models share (`core.training.kept_model`)."""


def data_folder() -> Path:
    """Where data sets are kept (`core.data.datasets`)."""
    return thaw_home() / "data"


def picture_info_file(folder: Path) -> Path:
    """Remembers what the pictures in `folder` are (`core.data.picture_info`)."""
    return thaw_home() / "pictures" / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}.json"


def uploads_folder() -> Path:
    """Where files lie that came from a browser, until a job has taken them in."""
    return thaw_home() / "uploads"


def downloads_folder() -> Path:
    """Where public data sets are kept as they were downloaded."""
    return thaw_home() / "downloads"


def results_folder() -> Path:
    """Where results about pictures are kept that are no data set of Thaw's."""
    return thaw_home() / "results"


def run_folder(run: int) -> Path:
    """Where the files of a run are; made when it is not there yet."""
    folder = _run_folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run_folder(run: int) -> Path:
    return thaw_home() / "runs" / str(run)


def remove_run(run: int) -> None:
    """Delete the files of a run."""
    shutil.rmtree(_run_folder(run), ignore_errors=True)


def resume_file(run: int) -> Path:
    """The state from which a run goes on; there is none before its first checkpoint."""
    return run_folder(run) / "resume.pt"


def weights_file(run: int) -> Path:
    """The kept weights of a run; there is none before its first epoch has ended, or where there is no such run."""
    return _run_folder(run) / "model.safetensors"
