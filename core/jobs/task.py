"""Work about pictures in a process of its own: imports, downloads, inspections, previews.

A task is a folder: `task.json` says what to do, `state.json` how far it is; a file `cancel` asks for its end. So any
browser can look on, and neither a reload nor a restart of the dashboard ends anything.
"""

import errno
import json
import secrets
import shutil
import subprocess
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from core import files, home
from core.errors import ThawError
from core.intake.importer import sweep_staging
from core.jobs.kinds import Job, job
from core.jobs.launch import detached

TASK, STATE, CANCEL, LOCK = "task.json", "state.json", "cancel", "lock"
SAY_EVERY = 0.2
"""Seconds between two words about how far a task is."""
STARTING = 30.0
"""Seconds that a process may take to begin."""
KEPT = 24 * 3600.0
"""Seconds after which what a task said is forgotten."""
GONE = "The process was ended from outside, or the machine ran out of memory; nothing was changed. Try again."
_started: dict[str, subprocess.Popen[bytes]] = {}
"""The processes that this one has started. Asking after an ended one lets it go."""

Phase = Literal["working", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class State:
    """How far a task is. `result` is what its job returned, `message` says why it failed."""

    phase: Phase
    stage: str = "Starting"
    done: int = 0
    total: int = 0
    result: dict[str, Any] | None = None
    message: str | None = None


def new(name: str | None = None) -> Path:
    """The folder of a new task, where files that it needs can be put before it is started; old ones are swept out."""
    root = home.tasks_folder()
    root.mkdir(parents=True, exist_ok=True)
    for old in root.iterdir():
        if time.time() - old.stat().st_mtime > KEPT:
            shutil.rmtree(old, ignore_errors=True)
    sweep_staging(home.data_folder(), KEPT)
    folder = root / (name or secrets.token_hex(6))
    folder.mkdir(exist_ok=True)
    return folder


def is_known(name: str) -> bool:
    """Whether a task of that name was started, and not forgotten since."""
    return (home.tasks_folder() / name / TASK).is_file()


def start(folder: Path, kind: str, **arguments: Any) -> str:
    """Begin a task of a kind that `core.jobs.kinds` knows, in a folder that is `new`; returns its name."""
    files.write_json(folder / TASK, {"kind": kind, "arguments": arguments, "began": time.time()})
    for name in [name for name, process in _started.items() if process.poll() is not None]:
        del _started[name]
    _started[folder.name] = detached(["core.jobs.task", str(folder)], home.thaw_home() / "task.log")
    return folder.name


def state(name: str) -> State:
    """How far the task of that name is."""
    folder = home.tasks_folder() / name
    if process := _started.get(name):
        process.poll()
    known = _state_in(folder)
    if known.phase != "working" or _is_at_work(folder):
        return known
    known = _state_in(folder)  # It may have ended between the two looks.
    return known if known.phase != "working" else State("failed", message=GONE)


def cancel(name: str) -> None:
    """Ask a task to end; it leaves nothing behind."""
    (home.tasks_folder() / name / CANCEL).touch()


def going_on(kind: str) -> list[str]:
    """The names of the tasks of a kind that are at work."""
    folders = sorted(home.tasks_folder().glob(f"*/{TASK}"))
    kinds = {file.parent.name: files.read_json(file)["kind"] for file in folders}
    return [name for name, own in kinds.items() if own == kind and state(name).phase == "working"]


def forget(name: str) -> None:
    """Delete what a task said, once somebody has taken note of it."""
    shutil.rmtree(home.tasks_folder() / name, ignore_errors=True)


def _state_in(folder: Path) -> State:
    try:
        return State(**json.loads((folder / STATE).read_bytes()))
    except FileNotFoundError:
        return State("working") if (folder / TASK).is_file() else State("failed", message="The task is not known.")


def _is_at_work(folder: Path) -> bool:
    try:
        with FileLock(folder / LOCK, timeout=0):
            began: float = files.read_json(folder / TASK)["began"]
            return not (folder / STATE).is_file() and time.time() - began < STARTING
    except Timeout:
        return True


def main(folder: Path) -> None:
    """Carry the task in `folder` out."""
    with FileLock(folder / LOCK):
        task = files.read_json(folder / TASK)
        try:
            _say(folder, _worked_off(folder, job(task["kind"], folder, task["arguments"])))
        except ThawError as error:
            _say(folder, State("failed", message=str(error)))
        except Exception as error:
            traceback.print_exc()
            _say(folder, State("failed", message=_in_words(error)))


def _in_words(error: Exception) -> str:
    """What was not foreseen, as a sentence; the details are in THAW_HOME/task.log."""
    if isinstance(error, MemoryError):
        return "The machine ran out of memory. Close other programs, or take smaller pictures, and try again."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "The disk is full. Free some space and try again."
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename} cannot be used ({error.strerror}). Mend that, and try again."
    return f"Something unexpected ended this ({type(error).__name__}: {error}). The details are in task.log."


def _worked_off(folder: Path, work: Job) -> State:
    said = -SAY_EVERY
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            return State("done", result=end.value)
        if (folder / CANCEL).exists():
            work.close()
            return State("cancelled")
        if time.monotonic() - said >= SAY_EVERY:
            said = time.monotonic()
            _say(folder, State("working", str(event.stage), event.done, event.total))


def _say(folder: Path, state: State) -> None:
    files.write_json(folder / STATE, asdict(state))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
