"""Processes that work on runs: how many, how they are started and named. Portable by way of psutil."""

import functools
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from core import home
from core.settings import settings

if sys.platform == "win32":
    _DETACHED = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _DETACHED = 0

ROOT = Path(__file__).parents[2]
_started: dict[Path, subprocess.Popen[bytes]] = {}
"""The newest worker that this process started for each place, by its lock. It may not have reached it yet."""


def process_id() -> str:
    """This process as host/pid/start time; the start time tells it from a later process with the same pid."""
    return process_id_of(psutil.Process())


def process_id_of(process: psutil.Process) -> str:
    """The same for another process of this machine. Raises psutil.NoSuchProcess."""
    return f"{platform.node()}/{process.pid}/{process.create_time():.0f}"


@functools.cache
def graphics_cards() -> int:
    """How many GPUs NVIDIA's own tool lists; asked without torch, which the dashboard does without."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    listed = subprocess.run([tool, "--list-gpus"], capture_output=True, text=True, check=False, timeout=30)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def worker_slots() -> int:
    """How many runs go on at a time: THAW_WORKERS, or one for each GPU, or one on the CPU."""
    return settings().workers or max(1, graphics_cards())


def ensure_workers(wanted: int = 1) -> None:
    """Have `wanted` workers serve the queue, as far as there are places: start those that are missing."""
    for place in range(min(wanted, worker_slots())):
        if not (_is_coming(place) or _is_served(place)):
            _start_worker(place)


def _is_coming(place: int) -> bool:
    """Asking after a child also lets it go: an ended one would stay as a zombie."""
    worker = _started.get(home.worker_lock(place))
    return worker is not None and worker.poll() is None


def _is_served(place: int) -> bool:
    try:
        with FileLock(home.worker_lock(place), timeout=0):
            return False
    except Timeout:
        return True


def _start_worker(place: int) -> None:
    """Start a worker; what it prints goes to THAW_HOME/worker.log."""
    log = home.thaw_home() / "worker.log"
    _started[home.worker_lock(place)] = detached(["core.jobs.worker", str(place)], log)


def detached(module: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Run a module of Thaw's, with arguments, in a process that outlives this one; what it prints goes to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            creationflags=_DETACHED,
        )
