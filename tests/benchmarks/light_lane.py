"""Thirty people press *Show it* at once: `python -m tests.benchmarks.light_lane` from the project's root.

A run trains and an import of 2,000 pictures is at work meanwhile. Counted are the light processes, and the memory that
is theirs: PSS, in which a page that several processes share counts in parts (Linux only).
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.jobs.job import Job
from core.jobs.kinds import request
from core.jobs.picture_kinds import ARCHIVE, PREVIEW, ArchiveArguments, PreviewArguments
from core.jobs.process import LIGHT_PLACES
from core.jobs.store import Store, open_store
from core.jobs.worker import ensure_progress
from core.recipe_settings import parse
from tests.benchmarks.job import ROOT
from tests.conftest import small_recipe
from tests.core.intake.bad_archives import picture, zipped
from tests.core.jobs.light import known, light_processes, pictures, until, workers_ended

PREVIEWS, IMPORTED = 30, 2_000
PSS = 1.5e9
"""Bytes that the light processes may have together."""
LOOK_EVERY = 0.1
"""Seconds between two looks."""


@dataclass(frozen=True)
class Measured:
    """`processes` and `pss` (bytes) at most at one time; `seconds` until all previews were `served`."""

    processes: int
    pss: int
    seconds: float
    served: int
    import_went_on: bool
    steps_meanwhile: int

    @property
    def is_right(self) -> bool:
        """Whether the bounds were kept, and everybody was served."""
        return self.processes <= LIGHT_PLACES and self.pss <= PSS and self.served == PREVIEWS


def main() -> None:
    """Measure the crowd, then one preview alone with a cold and a warm worker."""
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="thaw-benchmark-") as scratch:
        os.environ |= {"THAW_HOME": str(Path(scratch) / "home"), "THAW_WORKER_IDLE": "60"}
        store = open_store()
        with workers_ended():
            crowd = thirty_previews(store, Path(scratch))
        with workers_ended():
            cold, warm = (one_preview(store, seed) for seed in (1_001, 1_002))
        store.database.close()
    print(f"load after: {os.getloadavg()[0]:.1f}")
    print(f"{PREVIEWS} previews: {crowd.seconds:.1f} s until all were served ({crowd.served})")
    print(f"light processes, at most: {crowd.processes}; their PSS together, at most: {crowd.pss / 1e6:,.0f} MB")
    print(f"meanwhile: {crowd.steps_meanwhile} steps of training; import still at work: {crowd.import_went_on}")
    print(f"one preview, from request to result: {cold:.2f} s with a cold worker, {warm:.2f} s with a warm one")
    print("check:", "right" if crowd.is_right else "WRONG")


def thirty_previews(store: Store, scratch: Path) -> Measured:
    """Ask for PREVIEWS different ones at once, with an import and a run at work."""
    with _training(store) as run:
        archive = zipped(scratch / "pictures.zip", pictures(IMPORTED, picture((48, 48), "JPEG")))
        imported = request(store, ARCHIVE, ArchiveArguments(name="crowd", source="", file=archive))
        until(store, lambda: known(store, imported).status == "running")
        steps = len(store.runs.steps(run))
        begin = time.monotonic()
        asked = [_preview(store, seed) for seed in range(PREVIEWS)]
        processes = pss = 0
        import_went_on = False
        while any(known(store, job).live for job in asked):
            ensure_progress(store)
            alive = light_processes()
            processes, pss = max(processes, len(alive)), max(pss, sum(map(pss_of, alive)))
            import_went_on = known(store, imported).live
            time.sleep(LOOK_EVERY)
        seconds = time.monotonic() - begin
        steps = len(store.runs.steps(run)) - steps
        served = sum(known(store, job).status == "finished" for job in asked)
        until(store, lambda: not known(store, imported).live)
        assert known(store, imported).status == "finished", known(store, imported).message
    return Measured(processes, pss, seconds, served, import_went_on, steps)


def one_preview(store: Store, seed: int) -> float:
    """Seconds from the request to the result."""
    begin = time.monotonic()
    job = _preview(store, seed)
    ensure_progress(store)
    while known(store, job).live:
        time.sleep(0.01)
    return time.monotonic() - begin


def pss_of(process: psutil.Process) -> int:
    """Bytes of memory that are a process's, shared pages in parts; 0 of one that has just ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _preview(store: Store, seed: int) -> Job:
    settings = {"data": str(ROOT / "sample_data" / "stamps"), "seed": seed, "augment": "flip", "image_size": 224}
    recipe = parse({"backbone": "mobilenet_v2"} | settings)
    return request(store, PREVIEW, PreviewArguments(settings=recipe.model_dump(mode="json")))


@contextmanager
def _training(store: Store) -> Iterator[int]:
    """A run at work: its number."""
    recipe = small_recipe(ROOT / "sample_data" / "stamps", trainable="all", image_size=64, epochs=10_000)
    run = store.runs.queue(recipe)
    until(store, lambda: len(store.runs.steps(run)))
    try:
        yield run
    finally:
        store.runs.request_stop(run)
        until(store, lambda: not store.runs.get(run).live)


if __name__ == "__main__":
    main()
