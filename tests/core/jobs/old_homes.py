"""A THAW_HOME of an older Thaw, and that Thaw itself: for tests of what an update must keep.

`old_home/` beside this file holds both, as archives that `old_home/make.py` wrote; `expected.json` says what is in the
home, as the old code reads it. Nothing here imports `core`.
"""

import atexit
import datetime as dt
import functools
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from core.training.checkpoint import OLD_SETTINGS

ROOT = Path(__file__).parents[3]
FOLDER = Path(__file__).with_name("old_home")
HOME_ARCHIVE, CORE_ARCHIVE, EXPECTED = FOLDER / "old_home.tar.xz", FOLDER / "old_core.tar.xz", FOLDER / "expected.json"
MADE_AT = "/tmp/thaw_old_home"
"""Where the home was made: the beginning of all absolute paths in it."""
WEIGHTS = Path("core/backbones/weights/squeezenet1_1.safetensors")

_QUEUE = """
import json, sys
from core.recipe import parse
from core.runs import home
from core.runs.store import Store
print(Store(home.database_url()).queue(parse(json.loads(sys.argv[1]))))
"""
_RESUME = """
import sys
from core.runs import home
from core.runs.store import Store
Store(home.database_url()).resume(int(sys.argv[1]))
"""


@dataclass(frozen=True)
class ExpectedRun:
    """A run as the old code reads it. `events` are names in order; `weights_file` is the SHA-256 of the file."""

    status: str
    recipe: Mapping[str, Any]
    name: str
    note: str
    tags: tuple[str, ...]
    starred: bool
    deleted: bool
    best_epoch: int | None
    best_accuracy: float | None
    seconds: float | None
    events: tuple[str, ...]
    steps: int
    sum_of_losses: float
    weights_file: str


@dataclass(frozen=True)
class ExpectedDataSet:
    """The data set that is kept in the home: `pictures` are used, one more is left out by an edit."""

    folder: Path
    name: str
    source: str
    pictures: int
    left_out: int


@dataclass(frozen=True)
class ExpectedEnd:
    """How the old code finishes the paused run. `weights` is `digest_of_weights` of what it keeps.

    The last bits depend on what `made_with` names: torch, its kernels for the processor, the number of threads. Where
    these differ, `finish_with_old_code` gives the digest to compare with.
    """

    run: int
    weights: str
    best_epoch: int
    steps: int
    sum_of_losses: float
    made_with: Mapping[str, Any]


@dataclass(frozen=True)
class Expected:
    """All that is in the home. `rows` counts by table; `last_numbers` are those that SQLite gave out last."""

    runs: Mapping[int, ExpectedRun]
    next_run: int
    rows: Mapping[str, int]
    last_numbers: Mapping[str, int]
    data_set: ExpectedDataSet
    finished: ExpectedEnd


def unpack_old_home(target: Path) -> Expected:
    """Make `target` the old THAW_HOME, and tell what is in it.

    It is as if it had always been there: paths in the database that lead into the home lead into `target`. And as if
    the deleted run had been deleted just now: a worker forgets it after an hour.
    """
    unpack(HOME_ARCHIVE, target)
    _move(target)
    told = json.loads(EXPECTED.read_text(encoding="utf-8").replace(MADE_AT, target.as_posix()))
    runs = {int(number): _expected_run(values) for number, values in told["runs"].items()}
    data_set = ExpectedDataSet(**told["data_set"] | {"folder": target / "data" / told["data_set"]["folder"]})
    finished = ExpectedEnd(**told["finished"])
    return Expected(runs, told["next_run"], told["rows"], told["last_numbers"], data_set, finished)


def start_old_worker(thaw_home: Path, scratch: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start a worker of the old code on `thaw_home`; whoever calls ends it and waits for it.

    `environment` is added to this process's own. The code is unpacked into `scratch`, which may be shared with the
    other functions; what the worker prints goes to `old_worker.log` in it.
    """
    code = _old_code(scratch)
    with (scratch / "old_worker.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "core.runs.worker", "0"],
            cwd=code,
            env=_environment(code, thaw_home) | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def queue_with_old_code(thaw_home: Path, scratch: Path, recipe_settings: Mapping[str, Any]) -> int:
    """Queue a run as the old page does; returns its number. Paths in `sample_data/` may be relative.

    The old code knows recipes of version 1 only.
    """
    known = {name: value for name, value in recipe_settings.items() if name in OLD_SETTINGS} | {"version": 1}
    return int(_in_old_code(thaw_home, scratch, _QUEUE, json.dumps(known)))


def resume_with_old_code(thaw_home: Path, scratch: Path, run: int) -> None:
    """Put a paused run into the queue again, as the old page does."""
    _in_old_code(thaw_home, scratch, _RESUME, str(run))


def finish_with_old_code(thaw_home: Path, scratch: Path, run: int) -> str:
    """Let the old code go on with a paused run to its end, on this machine; returns `digest_of_weights` of it."""
    resume_with_old_code(thaw_home, scratch, run)
    status = start_old_worker(thaw_home, scratch, THAW_WORKER_IDLE="0").wait()
    assert status == 0, (scratch / "old_worker.log").read_text(encoding="utf-8")
    return digest_of_weights(thaw_home / "runs" / str(run) / "model.safetensors")


@functools.cache
def weights_of_old_code() -> Path:
    """What the old code keeps of the paused run, on this machine: found out once for all tests."""
    scratch = Path(tempfile.mkdtemp(prefix="thaw-old-end-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    run = unpack_old_home(scratch / "home").finished.run
    finish_with_old_code(scratch / "home", scratch, run)
    return scratch / "home" / "runs" / str(run) / "model.safetensors"


def same_answers(file: Path, other: Path) -> bool:
    """Whether two kept SqueezeNets answer alike: all but the first layer, which `_as_before` tells apart, is close."""
    ours, theirs = load_file(file), load_file(other)
    names = ours.keys() - {"features.0.weight", "features.0.bias"}
    return ours.keys() == theirs.keys() and all(np.allclose(ours[n], theirs[n], rtol=1e-3, atol=1e-4) for n in names)


def digest_of_weights(file: Path) -> str:
    """SHA-256 over the name and the bytes of each tensor, by name: without what else the file says."""
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(file).items()):
        digest.update(name.encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def unpack(archive: Path, target: Path) -> None:
    """Unpack an archive into `target`, which may be there."""
    with tarfile.open(archive) as packed:
        packed.extractall(target, filter="data")


def _move(thaw_home: Path) -> None:
    paths = (MADE_AT, thaw_home.as_posix())
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    with closing(sqlite3.connect(thaw_home / "thaw.sqlite")) as database, database:
        database.execute("UPDATE runs SET recipe = replace(recipe, ?, ?)", paths)
        database.execute('UPDATE events SET "values" = replace("values", ?, ?)', paths)
        database.execute("UPDATE runs SET deleted = ? WHERE deleted IS NOT NULL", (now,))


def _expected_run(values: dict[str, Any]) -> ExpectedRun:
    return ExpectedRun(**values | {"tags": tuple(values["tags"]), "events": tuple(values["events"])})


def _in_old_code(thaw_home: Path, scratch: Path, program: str, *arguments: str) -> str:
    """What a small program prints that runs in the old code."""
    code = _old_code(scratch)
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.check_output(command, cwd=code, env=_environment(code, thaw_home), text=True)


def _old_code(scratch: Path) -> Path:
    """The folder with the old `core` in it, with this repository's samples, and with the bundled weights of then."""
    code = scratch / "old_code"
    if not code.is_dir():
        unpack(CORE_ARCHIVE, code)
        (code / "sample_data").symlink_to(ROOT / "sample_data", target_is_directory=True)
        (code / WEIGHTS).parent.mkdir(exist_ok=True)
        save_file(_as_before(load_file(ROOT / WEIGHTS)), code / WEIGHTS)
    return code


def _as_before(state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The bundled weights that the old code had: what is now in their pre-processing was in the first layer."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    weight, bias = state["features.0.weight"].astype(float), state["features.0.bias"]
    shift = np.einsum("ocij,c->o", weight, 255 * mean - np.array([123.68, 116.779, 103.939]))
    scaled = weight * (255 * std).reshape(1, 3, 1, 1)
    first = {"features.0.weight": scaled, "features.0.bias": bias + shift}
    return state | {name: value.astype(np.float32) for name, value in first.items()}


def _environment(code: Path, thaw_home: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(code), "THAW_HOME": str(thaw_home)}
