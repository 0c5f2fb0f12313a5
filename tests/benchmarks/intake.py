"""How time, memory and disk grow with an archive: `python -m tests.benchmarks.intake` from the project's root.

Each archive is imported by `python -m core import` in a process of its own; this one looks at its memory on the way.
Then a folder of many pictures is looked at, twice, each time by a new process.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from tests.benchmarks.job import ROOT

LOOK_EVERY = 0.05
"""Seconds between two looks at the memory of the process."""
LOOK = "import sys, time, pathlib; t = time.perf_counter(); from core.data.scan import look; "
LOOK += "n = len(look(pathlib.Path(sys.argv[1])).train); print(n, time.perf_counter() - t)"


def main() -> None:
    """Measure one archive after the other, then the folder."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.intake", description="Imports by size.")
    parser.add_argument("--images", nargs="+", type=int, default=[200, 2_000, 20_000], help="in each archive, in turn")
    parser.add_argument("--folder", type=int, default=100_000, help="pictures of the folder that is looked at")
    options = parser.parse_args()
    print("| images | archive | seconds | images per second | private memory, peak |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for images in options.images:
        with tempfile.TemporaryDirectory(prefix="thaw-benchmark-") as scratch:
            archive = make_archive(Path(scratch), images)
            seconds, memory = bring_in(archive, Path(scratch))
            size = archive.stat().st_size / 1e6
            print(f"| {images:,} | {size:,.0f} MB | {seconds:.1f} | {images / seconds:,.0f} | {memory / 1e6:,.0f} MB |")
    with tempfile.TemporaryDirectory(prefix="thaw-benchmark-") as scratch:
        folder = make_folder(Path(scratch), options.folder)
        for time_of in ("first", "second"):
            print(f"{time_of} look at a folder of {options.folder:,}: {look(folder):.1f} s")


def make_archive(scratch: Path, images: int) -> Path:
    """Twenty classes of noise; every file is another one, by some bytes after its end."""
    pixels = np.random.default_rng(0).integers(0, 255, (236, 236, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)  # 50 kB.
    content = file.getvalue()
    with zipfile.ZipFile(scratch / "pictures.zip", "w", zipfile.ZIP_STORED) as archive:
        for number in range(images):
            archive.writestr(f"class {number % 20}/{number}.jpg", content + number.to_bytes(8))
    return scratch / "pictures.zip"


def bring_in(archive: Path, scratch: Path) -> tuple[float, int]:
    """Seconds, and the highest private memory in bytes, of importing it."""
    environment = os.environ | {"THAW_HOME": str(scratch / "home"), "THAW_MAX_ARCHIVE_MB": "4000"}
    command = [sys.executable, "-m", "core", "import", str(archive), "--name", "benchmark"]
    begin, memory = time.perf_counter(), 0
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                info = watched.memory_full_info()
            except psutil.NoSuchProcess:
                break
            memory = max(memory, info.uss)
            threading.Event().wait(LOOK_EVERY)
    if process.returncode:
        raise SystemExit(f"the import ended with status {process.returncode}")
    return time.perf_counter() - begin, memory


def make_folder(scratch: Path, images: int) -> Path:
    """Twenty classes of empty files: looking at a folder opens none."""
    for label in range(20):
        folder = scratch / "many" / f"class {label}"
        folder.mkdir(parents=True)
        for number in range(images // 20):
            (folder / f"{number}.jpg").touch()
    return scratch / "many"


def look(folder: Path) -> float:
    """Seconds that a new process needs, its imports included."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(folder)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[1])


if __name__ == "__main__":
    main()
