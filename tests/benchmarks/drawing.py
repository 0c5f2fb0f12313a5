"""How long drawing a long run takes in the server: reading the store, both figures, and their JSON."""

import json
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from core.events import EpochEnded, Event, Metrics, RunStarted, StepEnded
from core.jobs.store import Store, store_at
from core.recipe_settings import parse
from dashboard import charts, run_history
from dashboard.run_history import RunHistory

PER_EPOCH = 100
"""Steps; as many are new when a run is looked at again."""
REPEATS = 9
AT_ONCE = 5_000
"""Events in one transaction, so that filling the store takes seconds."""


@dataclass(frozen=True)
class Drawing:
    """Median seconds: `cold` when nothing is known of the run, `warm` when all but the last epoch's steps are."""

    steps: int
    cold: float
    warm: float


def measure(steps: int) -> Drawing:
    """Fill a store with a run of `steps` steps and draw it."""
    with tempfile.TemporaryDirectory(prefix="thaw-benchmark-") as scratch:
        store = store_at(f"sqlite:///{(Path(scratch) / 'thaw.sqlite').as_posix()}")
        run = store.runs.start(parse({"data": "pictures", "epochs": steps // PER_EPOCH}), "benchmark").id
        events = list(long_run(steps // PER_EPOCH))
        earlier, latest = events[: -PER_EPOCH - 1], events[-PER_EPOCH - 1 :]
        for start in range(0, len(earlier), AT_ONCE):
            store.runs.append(run, earlier[start : start + AT_ONCE])
        known = run_history.read_history(store, run)
        store.runs.append(run, latest)
        return Drawing(steps, draw(store, run, None), draw(store, run, known))


def long_run(epochs: int) -> Iterator[Event]:
    """A run whose curves wander, with a penalty on, so that the loss chart shows its terms as well."""
    yield RunStarted(
        classes=("a", "b"),
        train_images=32 * PER_EPOCH,
        val_images=100,
        trainable_parameters=1,
        frozen_parameters=1,
        epochs=epochs,
        steps_per_epoch=PER_EPOCH,
        device="cpu",
        precision="fp32",
    )
    draw = random.Random(0)
    for epoch in range(1, epochs + 1):
        for step in range((epoch - 1) * PER_EPOCH + 1, epoch * PER_EPOCH + 1):
            yield StepEnded(step, epoch, 0.01, _metrics(draw))
        yield EpochEnded(epoch, _metrics(draw), _metrics(draw), seconds=1.0, images_per_second=100.0)


def _metrics(draw: random.Random) -> Metrics:
    cross_entropy = draw.random()
    return Metrics(cross_entropy + 0.1, cross_entropy, l1=0.0, l2=0.1, accuracy=draw.random())


def draw(store: Store, run: int, known: RunHistory | None) -> float:
    """Median seconds from the store to what is sent to the browser."""
    seconds, epochs = [], store.runs.get(run).recipe.epochs
    for _repeat in range(REPEATS):
        begin = time.perf_counter()
        said = run_history.read_history(store, run, known)
        json.dumps([charts.loss_chart(said, epochs), charts.accuracy_chart(said, epochs)])
        seconds.append(time.perf_counter() - begin)
    return median(seconds)
