"""Processes that work on runs: how they are started, named, and found to be gone. Portable by way of psutil."""

import platform
import subprocess
import sys
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from core.runs import home
from core.runs.store import Store

if sys.platform == "win32":
    _DETACHED = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _DETACHED = 0

ROOT = Path(__file__).parents[2]
_started: list[subprocess.Popen[bytes]] = []
"""Workers that this process started; a parent has to ask after its children, or they stay as zombies."""

LOST = (
    "The process that trained this run is gone, without a word: it was ended from outside, or the machine ran out of "
    "memory. Choose a smaller batch size or image size if it was memory, and train again."
)


def identity() -> str:
    """This process as host/pid/start time; the start time tells it from a later process with the same pid."""
    return _identity(psutil.Process())


def fail_lost_runs(store: Store) -> None:
    """Close the runs whose worker was on this machine and is no more."""
    for run in store.runs("running"):
        if run.worker and _is_gone(run.worker):
            store.end(run.id, "failed", message=LOST)


def ensure_worker() -> None:
    """Have a worker serve the queue: start one unless there is one already."""
    try:
        with FileLock(home.worker_lock(), timeout=0):
            pass
    except Timeout:
        return
    _start_worker()


def _start_worker() -> None:
    """Start a worker that outlives this process; what it prints goes to THAW_HOME/worker.log."""
    _started[:] = [worker for worker in _started if worker.poll() is None]
    with (home.home() / "worker.log").open("ab") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "core.runs.worker"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            creationflags=_DETACHED,
        )
    _started.append(worker)


def _identity(process: psutil.Process) -> str:
    return f"{platform.node()}/{process.pid}/{process.create_time():.0f}"


def _is_gone(worker: str) -> bool:
    host, pid, _started = worker.rsplit("/", 2)
    if host != platform.node():
        return False
    try:
        process = psutil.Process(int(pid))
        return process.status() == psutil.STATUS_ZOMBIE or _identity(process) != worker
    except psutil.NoSuchProcess:
        return True
