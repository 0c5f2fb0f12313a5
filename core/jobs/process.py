"""Processes of this machine: how they are named in the store, whether one is still there, and how one is started."""

import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

if sys.platform == "win32":
    _DETACHED = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    _LOW_PRIORITY = psutil.BELOW_NORMAL_PRIORITY_CLASS
else:
    _DETACHED = 0
    _LOW_PRIORITY = 5  # A quarter of the processor beside a process of ordinary priority: previews still come soon.

ROOT = Path(__file__).parents[2]


def process_id() -> str:
    """This process as host/pid/start time; the start time tells it from a later process with the same pid."""
    return process_id_of(psutil.Process())


def process_id_of(process: psutil.Process) -> str:
    """The same for another process of this machine. Raises psutil.NoSuchProcess."""
    return f"{platform.node()}/{process.pid}/{process.create_time():.0f}"


def is_gone(named: str) -> bool | None:
    """Whether the process of that name has ended; None where this machine cannot tell.

    It cannot tell of another machine's process, nor of one that has the same number and another start: that is another
    process, or the clock was set.
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
    psutil.Process().nice(_LOW_PRIORITY)
    if sys.platform == "linux" and os.getsid(0) == os.getpid():
        with suppress(OSError):  # Not every kernel does so.
            Path("/proc/self/autogroup").write_text(str(_LOW_PRIORITY), encoding="ascii")
