"""Make an old THAW_HOME with the code of COMMIT, the last one before a database is migrated, and pack both.

    git worktree add --detach OLD bf9752b
    python -m tests.core.jobs.old_home.make OLD

Run it from the repository's root, on a machine where /tmp/thaw_old_home is free. It writes beside itself:

    old_home.tar.xz   the home: runs 1 (finished), 2 (paused), 3 (deleted), a data set; run 4 was there and is forgotten
    old_core.tar.xz   the source of the old `core`, without weights
    expected.json     what the old code reads in the home, and how it finishes run 2

What is random or a time differs each time: names of folders, seconds, process numbers. All else comes out the same.
"""

import hashlib
import json
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from tests.core.jobs.old_homes import (
    CORE_ARCHIVE,
    EXPECTED,
    HOME_ARCHIVE,
    MADE_AT,
    finish_with_old_code,
    queue_with_old_code,
    unpack,
)

COMMIT = "bf9752b"
HOME = Path(MADE_AT)
PAUSED = 2
LEFT_OUT = ("features", "__pycache__")
"""Folders that are made anew."""
LIMIT = 5_000_000
"""Bytes that the archives may have together."""


def main(checkout: Path) -> None:
    """Make everything, out of a checkout of COMMIT."""
    commit, date = git(checkout, "show", "--no-patch", "--format=%H %ct", "HEAD").split()
    if not commit.startswith(COMMIT):
        sys.exit(f"{checkout} is at {commit[:7]}; this needs {COMMIT}.")
    HOME.mkdir()
    try:
        expected = in_checkout(checkout, HOME, "fill")
        for number, run in expected["runs"].items():
            run["weights_file"] = sha256(HOME / "runs" / number / "model.safetensors")
        pack(HOME, home_files(), HOME_ARCHIVE, int(date))
    finally:
        shutil.rmtree(HOME)
    pack(checkout, core_files(checkout), CORE_ARCHIVE, int(date))
    with tempfile.TemporaryDirectory() as scratch:
        expected["finished"] = finish(checkout, Path(scratch), expected["next_run"])
    EXPECTED.write_text(json.dumps(expected, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for archive in (HOME_ARCHIVE, CORE_ARCHIVE):
        print(f"{archive.name}: {archive.stat().st_size:,} bytes")
    assert HOME_ARCHIVE.stat().st_size + CORE_ARCHIVE.stat().st_size < LIMIT


def in_checkout(checkout: Path, thaw_home: Path, *arguments: str) -> Any:
    """What `fill.py` tells, run by the code in `checkout`."""
    program = Path(__file__).with_name("fill.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("THAW_")}
    environment |= {"PYTHONPATH": str(checkout), "THAW_HOME": str(thaw_home)}
    command = [sys.executable, str(program), *arguments]
    return json.loads(subprocess.check_output(command, cwd=checkout, env=environment))


def home_files() -> list[Path]:
    """What a home consists of, once nobody uses it; files that resemble each other are neighbours."""
    assert not list(HOME.glob("thaw.sqlite-*")), "The database's file is not complete."
    files = [
        path
        for path in HOME.rglob("*")
        if path.is_file()
        and path.name != "lock"
        and path.suffix not in (".lock", ".log")
        and not set(LEFT_OUT) & set(path.relative_to(HOME).parts)
    ]
    return sorted(files, key=lambda path: (path.suffix, path))


def core_files(checkout: Path) -> list[Path]:
    """The source of the old `core`, and its list of backbones."""
    names = git(checkout, "ls-files", "core").splitlines()
    return [checkout / name for name in sorted(names) if name.endswith((".py", "/catalogue.json"))]


def pack(root: Path, files: Iterable[Path], archive: Path, date: int) -> None:
    """Pack files so that the same contents give the same archive."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 24}]
    with lzma.open(archive, "wb", filters=filters) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for path in files:
            member = tarfile.TarInfo(path.relative_to(root).as_posix())
            member.size, member.mtime = path.stat().st_size, date
            with path.open("rb") as content:
                tar.addfile(member, content)


def finish(checkout: Path, scratch: Path, next_run: int) -> dict[str, Any]:
    """How the paused run ends when the old code goes on with it, in a home that was unpacked from the archive."""
    home, code = scratch / "home", scratch / "code"
    unpack(HOME_ARCHIVE, home)
    weights = finish_with_old_code(home, code, PAUSED)
    run = in_checkout(checkout, home, "read", str(PAUSED))[str(PAUSED)]
    assert run["status"] == "finished"
    assert queue_with_old_code(home, code, run["recipe"]) == next_run
    return {
        "run": PAUSED,
        "weights": weights,
        **{field: run[field] for field in ("best_epoch", "steps", "sum_of_losses")},
        "made_with": {
            "torch": torch.__version__,
            "kernels": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(),
        },
    }


def git(checkout: Path, *arguments: str) -> str:
    """What git prints."""
    return subprocess.check_output(["git", *arguments], cwd=checkout, text=True)


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
