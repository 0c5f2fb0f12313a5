"""How long after a click on Train the curves begin: `python -m tests.benchmarks.click` from the project's root.

The default recipe in a real browser. The first run computes the features; those after it, whose learning rates differ,
find them, and a worker that waits. Pauses between the clicks are as a person makes them. At the end, five repeats of
the default recipe are timed in the queue.
"""

import argparse
import os
import re
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from playwright.sync_api import Page, expect, sync_playwright

from core.jobs.store import Store
from core.recipe_settings import parse
from tests.benchmarks.pictures import STAMPS
from tests.browser.conftest import HOW_TO_GET_ONE, QUIET, Dashboard, block, executable

PAUSE = 6.0
"""Seconds before each click; in the first of them, the worker loads torch."""
POINT, FINISHED = 1.5, 3.0
"""Seconds that are wanted at most with features there: to the first point of both curves, to the end of the run."""
REPEATS, REPEATED = 5, 2.0
"""How many runs of a family are timed, with features there and a worker that waits, and the seconds that are wanted."""
SHOWN = """([run, word]) => {
    const drawn = (name) => document.querySelector(`.st-key-${name}-${run} .chart`)?.data?.[0].x.length > 0;
    return drawn("loss") && drawn("accuracy") && document.body.textContent.includes(word);
}"""
"""Whether both charts of a run show a point, and the page a word."""


@dataclass(frozen=True)
class Click:
    """Seconds from the click until both charts show a point, and until the page says that the run has finished."""

    point: float
    finished: float


def main() -> None:
    """Click a few times and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.click", description="From click to curve.")
    parser.add_argument("--clicks", type=int, default=7, help="the first of which computes the features")
    (first, *others), family = clicks(parser.parse_args().clicks)
    point, finished = median(c.point for c in others), median(c.finished for c in others)
    print("| seconds after the click, until | features computed | features there, median | wanted |")
    print("| --- | ---: | ---: | ---: |")
    print(f"| both curves show a point | {first.point:.2f} | {point:.2f} | {POINT} |")
    print(f"| the page says that the run has finished | {first.finished:.2f} | {finished:.2f} | {FINISHED} |")
    print(f"| {REPEATS} repeats have finished, from the queue | – | {family:.2f} | {REPEATED} |")
    print(f"\n**{'met' if point <= POINT and finished <= FINISHED and family <= REPEATED else 'not met'}**")


def clicks(count: int) -> tuple[list[Click], float]:
    """That many runs, one after the other, by clicks on the page of a dashboard of their own; seconds of a family."""
    path = executable()
    if path is None:
        raise SystemExit(HOW_TO_GET_ONE)
    with tempfile.TemporaryDirectory(prefix="thaw-benchmark-") as scratch, sync_playwright() as playwright:
        os.environ |= {"THAW_HOME": scratch, "THAW_WORKER_IDLE": "60"}
        dashboard = Dashboard(Path(scratch))
        dashboard.start()
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(dashboard.url)
        expect(block(page, "head")).to_be_visible()
        timed = [click(page, run) for run in range(1, count + 1)]
        browser.close()
        family = median(repeats(dashboard.store, seed) for seed in (0, 100, 200))
        dashboard.stop()
        workers = {run.job.worker.split("/")[1] for run in dashboard.store.runs.all() if run.job.worker}
        for pid in workers:
            psutil.Process(int(pid)).kill()
    return timed, family


def repeats(store: Store, seed: int) -> float:
    """Seconds from a family's place in the queue until the last of its runs has finished."""
    begin = time.monotonic()
    family = store.runs.queue(parse({"data": str(STAMPS), "repeats": REPEATS, "seed": seed}))
    while store.runs.get(family).live:
        threading.Event().wait(0.02)
    return time.monotonic() - begin


def click(page: Page, run: int) -> Click:
    """Choose another learning rate, wait as a person does, press Train, and watch."""
    rate = page.get_by_role("spinbutton", name=re.compile("Learning rate"))
    rate.fill(f"{0.001 + run / 10_000:.4f}")
    rate.press("Enter")
    threading.Event().wait(PAUSE)
    begin = time.monotonic()
    page.locator(".st-key-train button").click()
    page.wait_for_function(SHOWN, arg=[run, ""], polling=20, timeout=60_000)
    point = time.monotonic() - begin
    page.wait_for_function(SHOWN, arg=[run, "Finished"], polling=20, timeout=60_000)
    return Click(point, time.monotonic() - begin)


if __name__ == "__main__":
    main()
