"""Many sessions look at one run that trains on all cores: `python -m tests.benchmarks.many_eyes`.

Phases without and with the sessions take turns within the one run, so that a machine that gets slower does so in both.
In a last phase one of the sessions is a real browser, which says when a refresh is on its screen.
Bounded, and on this machine only.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles

from core.events import EpochEnded
from core.jobs.process import ensure_training
from tests.benchmarks import job
from tests.benchmarks.eye import Seen, look
from tests.benchmarks.job import Job
from tests.benchmarks.pictures import STAMPS
from tests.benchmarks.screen import screen
from tests.benchmarks.screen import seconds as screen_seconds
from tests.browser.conftest import Dashboard

REFRESH, SLOW_DOWN = 1.0, 0.05
"""What is wanted at most: seconds of a refresh at the 95th percentile, and the share by which training slows down."""


def main() -> None:
    """Measure and print; ends with status 1 when something is not as wanted."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.many_eyes", description="Many look at one run.")
    parser.add_argument("--sessions", type=int, default=30)
    parser.add_argument("--phases", type=int, default=3, help="with the sessions, and as many without")
    parser.add_argument("--epochs", type=int, default=40, help="of each phase")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="thaw-load-") as scratch:
        sys.exit(asyncio.run(measure(Path(scratch), options.sessions, options.phases, options.epochs)))


async def measure(home: Path, sessions: int, phases: int, epochs: int) -> int:
    """The whole test on a dashboard of its own."""
    os.environ |= {"THAW_HOME": str(home), "THAW_WORKER_IDLE": "0"}
    dashboard = Dashboard(home)
    dashboard.start()
    try:
        run = dashboard.store.runs.queue(
            job.recipe(Job(folder=str(STAMPS), trainable="all", epochs=5000, image_size=96))
        )
        ensure_training()
        await ended(dashboard, run, 3)
        alone: list[float] = []
        watched: list[float] = []
        seen: list[Seen] = []
        for _phase in range(phases):
            alone += await phase(dashboard, run, epochs)
            async with looked_at(dashboard, run, sessions) as group:
                watched += await phase(dashboard, run, epochs)
            seen += group
        async with looked_at(dashboard, run, sessions - 1), screen(f"{dashboard.url}/?run={run}") as page:
            await phase(dashboard, run, phases * epochs)
            drawn = await screen_seconds(page)
        return report(alone, watched, seen, drawn)
    finally:
        dashboard.store.runs.request_stop(run)
        while dashboard.store.runs.get(run).live:
            await asyncio.sleep(0.1)
        dashboard.stop()


@asynccontextmanager
async def looked_at(dashboard: Dashboard, run: int, sessions: int) -> AsyncIterator[list[Seen]]:
    """So many sessions, for as long as it lasts; what they have seen is whole at the end."""
    until = asyncio.Event()
    group = [Seen() for _ in range(sessions)]
    url = dashboard.url.replace("http", "ws")
    eyes = [asyncio.create_task(look(url, run, until, one)) for one in group]
    yield group
    until.set()
    await asyncio.gather(*eyes)


async def phase(dashboard: Dashboard, run: int, epochs: int) -> list[float]:
    """Seconds of the next `epochs` epochs, the first of which does not count: something has just begun or ended."""
    done = len(seconds(dashboard, run))
    await ended(dashboard, run, done + epochs + 1)
    return seconds(dashboard, run)[done + 1 :]


async def ended(dashboard: Dashboard, run: int, epochs: int) -> None:
    """Until so many epochs have ended."""
    while len(seconds(dashboard, run)) < epochs:
        assert dashboard.store.runs.get(run).live, dashboard.store.runs.get(run).message
        await asyncio.sleep(0.5)


def seconds(dashboard: Dashboard, run: int) -> list[float]:
    """Of every epoch so far."""
    return [event.seconds for _row, event in dashboard.store.runs.events(run) if isinstance(event, EpochEnded)]


def report(alone: list[float], watched: list[float], seen: list[Seen], drawn: list[float]) -> int:
    """Print the figures; how many of the wishes are not met."""
    refreshes = [second for one in seen for second in one.refreshes]
    failures = [failure for one in seen for failure in one.failures]
    if min(len(refreshes), len(drawn)) < 2:
        print(f"no session was ever refreshed {failures[:3]}")
        return 1
    slowest, slowest_drawn = (quantiles(seconds, n=20)[-1] for seconds in (refreshes, drawn))
    slow_down = median(watched) / median(alone) - 1
    print(f"{len(seen)} sessions in all, {len(refreshes):,} refreshes, {len(failures)} failures {failures[:3]}")
    print(f"refresh: median {median(refreshes):.3f} s, 95th percentile {slowest:.3f} s (at most {REFRESH} s wanted)")
    print(f"on the screen of one more browser, {len(drawn)} refreshes: {median(drawn):.3f} s, {slowest_drawn:.3f} s")
    print(f"epoch: {median(alone):.3f} s alone, {median(watched):.3f} s looked at: {slow_down:+.1%} ({SLOW_DOWN:.0%})")
    return int(max(slowest, slowest_drawn) > REFRESH) + int(bool(failures)) + int(slow_down > SLOW_DOWN)


if __name__ == "__main__":
    main()
