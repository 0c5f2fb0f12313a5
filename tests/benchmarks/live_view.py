"""What looking on costs: `python -m tests.benchmarks.live_view` from the project's root.

Training with the dashboard open is held against the bare generator of events, by the seconds that the epochs themselves
say they took. The ways take turns. Then a long run is drawn.
"""

import argparse
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

from core.events import EpochEnded
from core.jobs.process import ensure_training
from dashboard import charts
from tests.benchmarks import drawing, job
from tests.benchmarks.job import Job
from tests.benchmarks.pictures import STAMPS
from tests.browser.conftest import HOW_TO_GET_ONE, QUIET, Dashboard, executable, wait_for_points

LOOK_EVERY = 1.0
"""Seconds between two looks at whether the run has ended."""
SLOW_DOWN, DRAWING = 1.02, 0.2
"""What is wanted at most: training time against the bare generator, and seconds to draw."""
BARE, SERVED, WATCHED = "bare generator", "worker, store and server", "the same, and a browser on this machine"


def main() -> None:
    """Both measurements."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.live_view", description="What looking on costs.")
    parser.add_argument("--rounds", type=int, default=3, help="of training in each way; 0 leaves training out")
    parser.add_argument("--epochs", type=int, default=6, help="of each training")
    parser.add_argument("--steps", type=int, default=100_000, help="of the run that is drawn; 0 leaves drawing out")
    parser.add_argument("--image-size", type=int, help="instead of 224, to try whether everything works")
    options = parser.parse_args()
    if options.rounds:
        print(compare(train(options.rounds, options.epochs, options.image_size)))
    if options.steps:
        drawn = drawing.measure(options.steps)
        print(f"\nDrawing a run of {drawn.steps:,} steps, median, less than {DRAWING * 1000:.0f} ms wanted:\n")
        print(f"- when it is opened: {_judged(drawn.cold)}")
        print(f"- when its last {drawing.PER_EPOCH} steps are new: {_judged(drawn.warm)}")


def _judged(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms, **{'met' if seconds < DRAWING else 'not met'}**"


def train(rounds: int, epochs: int, image_size: int | None) -> dict[str, list[float]]:
    """Seconds of every epoch but the first of each training, which warms up, by the way of training."""
    seconds: dict[str, list[float]] = {BARE: [], SERVED: [], WATCHED: []}
    for _round in range(rounds):
        with tempfile.TemporaryDirectory(prefix="thaw-benchmark-") as scratch:
            task = Job(
                folder=str(STAMPS),
                trainable="all",
                epochs=epochs,
                features=str(Path(scratch) / "features"),
                image_size=image_size,
            )
            seconds[BARE] += job.run("with_thaw", task)["epoch_seconds"][1:]
            seconds[SERVED] += served(task, Path(scratch) / "served", watched=False)[1:]
            seconds[WATCHED] += served(task, Path(scratch) / "watched", watched=True)[1:]
    return seconds


def served(task: Job, home: Path, *, watched: bool) -> list[float]:
    """Seconds of each epoch of a run that a worker trains while the dashboard is up, and perhaps looked at."""
    with dashboard_of(home) as dashboard:
        run = dashboard.store.runs.queue(job.recipe(task))
        if watched:
            watch(dashboard, run)
        else:
            wait_for_end(dashboard, run)
        if dashboard.store.runs.get(run).status != "finished":
            raise SystemExit(f"the run ended otherwise than wanted: {dashboard.store.runs.get(run).message}")
        events = [event for _row, event in dashboard.store.runs.events(run)]
    return [event.seconds for event in events if isinstance(event, EpochEnded)]


@contextmanager
def dashboard_of(home: Path) -> Iterator[Dashboard]:
    """A server with a THAW_HOME of its own, whose worker ends with its queue."""
    home.mkdir()
    os.environ |= {"THAW_HOME": str(home), "THAW_WORKER_IDLE": "0"}
    running = Dashboard(home)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def watch(dashboard: Dashboard, run: int) -> None:
    """Have a page show the run from beginning to end; its steps must then be in the charts, thinned if many."""
    path = executable()
    if path is None:
        raise SystemExit(HOW_TO_GET_ONE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{dashboard.url}/?run={run}")
        wait_for_end(dashboard, run)
        wait_for_points(page, min(len(dashboard.store.runs.steps(run)), charts.POINTS))
        browser.close()


def wait_for_end(dashboard: Dashboard, run: int) -> None:
    """Have a worker carry out the run, and wait until it has."""
    ensure_training()
    pause = threading.Event()
    while dashboard.store.runs.get(run).live:
        pause.wait(LOOK_EVERY)


def compare(seconds: dict[str, list[float]]) -> str:
    """The table, and whether the slow-down is as small as it is meant to be."""
    bare = median(seconds[BARE])
    lines = [
        "| training | seconds per epoch, median | from – to | against the bare generator |",
        "| --- | ---: | ---: | ---: |",
    ]
    for way, epochs in seconds.items():
        ratio = f"{median(epochs) / bare - 1:+.1%}"
        lines.append(f"| {way} | {median(epochs):.3f} | {min(epochs):.3f} – {max(epochs):.3f} | {ratio} |")
    lines.append("")
    for way in (SERVED, WATCHED):
        reached = "met" if median(seconds[way]) <= SLOW_DOWN * bare else "not met"
        lines.append(f"- {way}: at most {SLOW_DOWN - 1:+.0%} wanted: **{reached}**.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
