"""Processes that tests start and kill: torch is loaded once, in the process that they are forked from."""

import multiprocessing
import os
import sys
from multiprocessing import forkserver
from pathlib import Path

FORKED = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
FORKED.set_forkserver_preload(["core.jobs.drive", "core.training.loop"])
SPAWNED = multiprocessing.get_context("spawn")
"""For a process whose memory is limited: it loads torch by itself, within the limit."""


def end_fork_server() -> None:
    """End the process that the others are forked from, which takes half a gigabyte; the next one starts it again."""
    forkserver._forkserver._stop()


def work(thaw_home: str, memory: int | None) -> None:
    """A worker that writes after every step, so that a kill finds it in the middle of a write more often than not.

    `memory` is how many bytes it may have beyond what it has at its start.
    """
    os.environ["THAW_HOME"] = thaw_home
    from core.jobs import drive, worker
    from core.jobs.store import open_store
    from core.training import loop

    if memory is not None:
        limit_memory(memory)
    drive.FLUSH_EVERY = loop.AFTER_EPOCHS = loop.AMID_EPOCHS = 0.0
    os.environ["THAW_WORKER_IDLE"] = "0"
    worker.serve(open_store())


def limit_memory(more: int) -> None:
    """Let this process have at most so many bytes more than now."""
    import resource

    import psutil

    limit = psutil.Process().memory_info().vms + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def start(thaw_home: Path, memory: int | None = None) -> multiprocessing.process.BaseProcess:
    """A worker, running."""
    process = (FORKED if memory is None else SPAWNED).Process(target=work, args=(str(thaw_home), memory))
    process.start()
    return process


def say_into(file: Path, *streams: int) -> None:
    """Let what this process prints go to a file: 1 is the output, 2 are errors."""
    with file.open("wb") as opened:
        for stream in streams:
            os.dup2(opened.fileno(), stream)


def command_line(thaw_home: str, said: Path, *arguments: str) -> None:
    """`python -m core` with these arguments, its output in a file."""
    os.environ["THAW_HOME"] = thaw_home
    say_into(said, 1)
    from core.__main__ import main

    sys.exit(main(arguments))


def work_for(thaw_home: Path, seconds: float) -> bool:
    """Start a worker, and kill it after so many seconds. Whether it had ended by itself before."""
    process = start(thaw_home)
    process.join(seconds)
    ended = not process.is_alive()
    process.kill()
    process.join()
    return ended
