"""A history that grows is the same as one that is read at once."""

from core.events import EpochEnded, Event, FeaturesReady, Metrics, Notice, RunStarted, StepEnded
from core.jobs.store import Store
from core.messages import Message
from core.recipe_settings import parse
from dashboard import run_history
from dashboard.run_history import RunHistory

METRICS = Metrics(1.0, 0.75, 0.25, 0.0, 0.5)
STARTED = RunStarted(("a", "b"), 8, 2, 10, 20, epochs=5, steps_per_epoch=2, device="cpu", precision="fp32")


def test_only_what_is_new_is_read(store: Store) -> None:
    run = store.runs.queue(parse({"data": "photos"}))
    chapters: list[list[Event]] = [
        [Notice(Message("one")), FeaturesReady(9, 3, 1.0, False), STARTED],
        [StepEnded(1, 1, 0.1, METRICS)],
        [StepEnded(2, 1, 0.1, METRICS), EpochEnded(1, METRICS, None, 1.0, 1.0), Notice(Message("two"))],
    ]
    growing = RunHistory()
    for chapter in chapters:
        store.runs.append(run, chapter)
        growing = run_history.read_history(store, run, growing)
    whole = run_history.read_history(store, run)
    assert growing.steps.tolist() == whole.steps.tolist()
    assert growing.positions.tolist() == [0.5, 1.0]
    assert (growing.notices, growing.started, growing.features) == (
        (Message("one"), Message("two")),
        STARTED,
        whole.features,
    )
    assert growing.epochs == whole.epochs
    assert run_history.read_history(store, run, growing).steps is growing.steps
