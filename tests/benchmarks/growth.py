"""How time and memory grow with the number of images: `python -m tests.benchmarks.growth` from the project's root.

Each number of images is trained on by a process of its own, with features that nobody has computed yet. This process
looks at the other's memory on the way.
"""

import argparse
import itertools
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.benchmarks import job, pictures
from tests.benchmarks.job import ROOT, Job

EPOCHS = 3
IMAGE_SIZE = 32
"""Side in pixels: small, so that what is done per image and not per pixel shows."""
LOOK_EVERY = 0.05
"""Seconds between two looks at the memory of the process."""
ABOUT = (
    "Head only, nothing cached: {epochs} epochs of MobileNetV2 at {size} px. Private memory belongs to the process "
    "alone. Resident memory counts the mapped files as well, torch's libraries and the features among them: those are "
    "pages of the system's file cache, which it takes back when somebody needs the room."
)


@dataclass(frozen=True)
class Growth:
    """What one number of images took: seconds, and the highest private and resident memory seen, in bytes."""

    images: int
    seconds: float
    private: int
    resident: int


def main() -> None:
    """Measure one number of images after the other, then print the table and what it says."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.growth", description="Time and memory by images.")
    parser.add_argument("--images", nargs="+", type=int, default=[400, 4_000, 40_000], help="how many, in turn")
    rows = [measure(images) for images in parser.parse_args().images]
    print("| images | seconds | seconds per 1,000 images | private memory, peak | resident memory, peak |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        per_thousand = row.seconds / row.images * 1000
        memory = f"{row.private / 1e6:,.0f} MB | {row.resident / 1e6:,.0f} MB"
        print(f"| {row.images:,} | {row.seconds:,.1f} | {per_thousand:.2f} | {memory} |")
    print(f"\n{ABOUT.format(epochs=EPOCHS, size=IMAGE_SIZE)}")
    for before, after in itertools.pairwise(rows):
        print(f"- {compare(before, after)}")


def measure(images: int) -> Growth:
    """Make that many pictures and train on them."""
    with tempfile.TemporaryDirectory(prefix="thaw-benchmark-") as scratch:
        folder, features = Path(scratch) / "pictures", Path(scratch) / "features"
        pictures.make_many(folder, images)
        task = Job(
            folder=str(folder),
            trainable=("head",),
            epochs=EPOCHS,
            features=str(features),
            image_size=IMAGE_SIZE,
        )
        with subprocess.Popen(job.command("with_thaw", task), cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            private, resident = peak_memory(child)
            printed = child.communicate()[0]
        if child.returncode:
            raise SystemExit(f"training on {images} images failed")
    return Growth(images, job.result_in(printed)["seconds"], private, resident)


def peak_memory(child: subprocess.Popen[str]) -> tuple[int, int]:
    """The highest private and resident memory, in bytes, seen until the process ends."""
    process = psutil.Process(child.pid)
    private, resident = 0, 0
    pause = threading.Event()
    while child.poll() is None:
        try:
            now = memory(process)
        except psutil.Error:  # It ended between the two lines.
            break
        private, resident = max(private, now[0]), max(resident, now[1])
        pause.wait(LOOK_EVERY)
    return private, resident


def memory(process: psutil.Process) -> tuple[int, int]:
    """Private and resident memory in bytes.

    Linux counts resident pages of files apart. The "unique" memory that psutil finds elsewhere would not do there: it
    includes the pages of files that nobody else has mapped, which the features are.
    """
    seen = process.memory_info()
    if psutil.LINUX:
        return seen.rss - seen.shared, seen.rss
    return process.memory_full_info().uss, seen.rss


def compare(before: Growth, after: Growth) -> str:
    """How time and memory follow the number of images."""
    more = after.images / before.images
    time_ratio, memory_ratio = after.seconds / before.seconds, after.private / before.private
    return f"{more:.3g} times as many images: {time_ratio:.3g} times the time, {memory_ratio:.2f} times private memory."


if __name__ == "__main__":
    main()
