"""Processes of this machine: how they are named, found and started, and how many serve each lane of the queue."""

import functools
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from core import home
from core.jobs.job import Lane
from core.settings import named_cards, settings

if sys.platform == "win32":
    _DETACHED = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    _NO_WINDOW = subprocess.CREATE_NO_WINDOW
    _LOW_PRIORITY = psutil.BELOW_NORMAL_PRIORITY_CLASS
else:
    _DETACHED = _NO_WINDOW = 0
    _LOW_PRIORITY = 5  # About a quarter of the processor beside a process of ordinary priority.

ROOT = Path(__file__).parents[2]


def process_id() -> str:
    """This process as host/pid/start time; the start time tells it from a later process with the same pid."""
    return process_id_of(psutil.Process())


def process_id_of(process: psutil.Process) -> str:
    """The same for another process of this machine. Raises psutil.NoSuchProcess."""
    return f"{platform.node()}/{process.pid}/{process.create_time():.0f}"


def is_gone(named: str) -> bool | None:
    """Whether the process of that name has ended; None where this machine cannot tell.

    It cannot tell for a process of another machine. Nor for one that has the same number and another start time: it is
    another process, or the clock was set.
    """
    host, pid, _start = named.rsplit("/", 2)
    if host != platform.node():
        return None
    try:
        process = psutil.Process(int(pid))
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        return False if process_id_of(process) == named else None
    except psutil.NoSuchProcess:
        return True


def holders(files: Sequence[Path]) -> Iterator[psutil.Process]:
    """Other processes of this machine that have one of `files` open."""
    wanted = {str(file) for file in files}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            is_other = process.pid != psutil.Process().pid and "python" in process.name().lower()
            if is_other and wanted & {opened.path for opened in process.open_files()}:
                yield process


def end(process: psutil.Process, seconds: float = 5.0) -> None:
    """Ask a process to end, and end it where it has not done so after `seconds`."""
    for ask in (process.terminate, process.kill):
        with suppress(psutil.NoSuchProcess):
            ask()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if _has_ended(process):
                return
            threading.Event().wait(0.02)


def _has_ended(process: psutil.Process) -> bool:
    """A zombie has ended too: it is there until its parent asks after it, which may never be."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def detached(module: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
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


def lower_priority() -> None:
    """Let processes of ordinary priority, such as the one that trains, go first.

    Linux shares the processor between sessions before it looks at the priorities within each (sched(7), autogroup), and
    each worker is a session of its own.
    """
    own = psutil.Process()
    if sys.platform == "win32" or own.nice() < _LOW_PRIORITY:  # A process may become nicer, but not less nice.
        own.nice(_LOW_PRIORITY)
    if sys.platform == "linux" and os.getsid(0) == os.getpid():
        with suppress(OSError):  # Not every kernel does so.
            Path("/proc/self/autogroup").write_text(str(_LOW_PRIORITY), encoding="ascii")


LIGHT_PLACES = 2
"""Processes for all work but training: the first takes quick kinds only, so that nobody waits for an import."""
QUICK_PLACE = 0
_started: dict[Path, "subprocess.Popen[bytes]"] = {}
"""The newest worker that this process started for each place, by its lock. It may not have reached it yet."""
ASKING = 10.0
"""Seconds that NVIDIA's tool may take to answer."""


@functools.cache
def graphics_cards() -> int:
    """How many GPUs NVIDIA's own tool lists; asked without torch, which the dashboard does without."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    try:
        listed = subprocess.run(
            [tool, "--list-gpus"], capture_output=True, text=True, check=False, timeout=ASKING, creationflags=_NO_WINDOW
        )
    except (OSError, subprocess.TimeoutExpired):  # A driver that hangs trains nothing either.
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def usable_cards() -> tuple[str, ...]:
    """The GPUs to train on, as CUDA names them: those that its own variable names, else all."""
    named = named_cards()
    if named is None or not graphics_cards():
        return tuple(map(str, range(graphics_cards())))
    return named


def card_of(place: int) -> str | None:
    """The GPU that a training place uses. Places share them where there are more places; None where there is none."""
    cards = usable_cards()
    return cards[place % len(cards)] if cards else None


def training_places() -> int:
    """How many runs train at a time: THAW_WORKERS, or one for each GPU, or one on the CPU."""
    return settings().workers or max(1, len(usable_cards()))


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
