"""How many workers serve each lane of the queue, and how they are started."""

import functools
import shutil
import subprocess
from pathlib import Path

from filelock import FileLock, Timeout

from core import home
from core.jobs.job import Lane
from core.jobs.process import detached
from core.settings import settings

LIGHT_PLACES = 2
"""Processes for all work but training: the first takes quick kinds only, so that nobody waits for an import."""
QUICK_PLACE = 0
_started: dict[Path, "subprocess.Popen[bytes]"] = {}
"""The newest worker that this process started for each place, by its lock. It may not have reached it yet."""


@functools.cache
def graphics_cards() -> int:
    """How many GPUs NVIDIA's own tool lists; asked without torch, which the dashboard does without."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    listed = subprocess.run([tool, "--list-gpus"], capture_output=True, text=True, check=False, timeout=30)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def training_places() -> int:
    """How many runs train at a time: THAW_WORKERS, or one for each GPU, or one on the CPU."""
    return settings().workers or max(1, graphics_cards())


def ensure_training(wanted: int = 1) -> None:
    """Have `wanted` workers serve the runs, as far as there are places: start those that are missing."""
    for place in range(min(wanted, training_places())):
        _ensure("training", place)


def ensure_light(quick: int, long: int) -> None:
    """Have workers for so many quick jobs and long jobs, at two places at the most."""
    if quick:
        _ensure("light", QUICK_PLACE)
    if long or quick > 1:
        _ensure("light", LIGHT_PLACES - 1)


def _ensure(lane: Lane, place: int) -> None:
    """Start a worker unless one serves the place or is on its way; what it prints goes to THAW_HOME/worker.log."""
    lock = home.worker_lock(lane, place)
    if not (_is_coming(lock) or _is_served(lock)):
        _started[lock] = detached(["core.jobs.worker", lane, str(place)], home.thaw_home() / "worker.log")


def _is_coming(lock: Path) -> bool:
    """Asking after a child also lets it go: an ended one would stay as a zombie."""
    worker = _started.get(lock)
    return worker is not None and worker.poll() is None


def _is_served(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
