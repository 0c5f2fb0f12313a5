"""A history that grows is the same as one that is read at once."""

from dataclasses import replace

import pytest

from core.events import EpochEnded, Event, FeaturesReady, Metrics, Notice, RunStarted, StepEnded
from core.jobs.store import Store
from core.messages import Message
from core.recipe_settings import parse
from dashboard import run_history
from dashboard.run_history import RunHistory
from tests.core.jobs.by_number import end

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


@pytest.mark.parametrize(
    ("train", "val", "said"),
    [
        ([1.0, 0.6, 0.3, 0.1], [1.0, 0.5, 0.6, 0.7], "From epoch 3 on it learns by heart"),
        ([1.0, 0.6, 0.9, 2.0], [1.0, 0.5, 0.9, 1.7], "From epoch 3 on training and validation get worse"),
        ([1.0, 0.8, 0.7, 0.6], [1.0, 0.9, 0.8, 0.7], "Validation still improves in the last quarter"),
        ([1.0, 0.5, 0.4, 0.3], [1.0, 0.5, 0.5, 0.51], "Validation has levelled off."),
    ],
)
def test_curves_are_read(train: list[float], val: list[float], said: str) -> None:
    pairs = zip(train, val, strict=True)
    epochs = [
        EpochEnded(number, *(Metrics(loss, loss, 0.0, 0.0, 0.5) for loss in pair), 1.0, 1.0)
        for number, pair in enumerate(pairs, start=1)
    ]
    sentence = run_history.reading(epochs)
    assert sentence is not None
    assert sentence.startswith(said)
    assert run_history.reading(epochs[:3]) is None
    assert run_history.reading([replace(epoch, val=None) for epoch in epochs]) is None


def told(*epochs: tuple[float, float]) -> RunHistory:
    """A history with these losses in training and validation, epoch by epoch."""

    def metrics(loss: float) -> Metrics:
        return Metrics(loss, loss, 0.0, 0.0, loss / 10)

    ended = [EpochEnded(n, metrics(a), metrics(b), 2.0, 8.0) for n, (a, b) in enumerate(epochs, start=1)]
    return RunHistory(started=STARTED, epochs=tuple(ended))


def test_a_family_has_the_mean_of_those_epochs_that_all_have() -> None:
    whole = run_history.united([told((1.0, 2.0), (0.5, 1.0), (0.25, 0.5)), told((3.0, 6.0), (1.5, 2.0)), RunHistory()])
    assert [epoch.epoch for epoch in whole.epochs] == [1, 2]
    assert [epoch.train.loss for epoch in whole.epochs] == [2.0, 1.0]
    assert [epoch.val and epoch.val.loss for epoch in whole.epochs] == [4.0, 1.5]
    assert (len(whole.members), whole.started, whole.last_step) == (2, STARTED, 0)
    none = run_history.united([RunHistory(), RunHistory()])
    assert (none.epochs, none.members, none.started) == ((), (), None)


def test_what_not_all_members_measured_has_no_mean() -> None:
    without = RunHistory(started=STARTED, epochs=(EpochEnded(1, METRICS, None, 1.0, 1.0),))
    (epoch,) = run_history.united([told((1.0, 2.0)), without]).epochs
    assert epoch.val is None


def test_a_run_at_work_does_not_cut_its_family_off(store: Store) -> None:
    family = store.runs.queue(parse({"data": "photos", "repeats": 2}))
    first, second = (child.id for child in store.runs.get(family).children)
    store.runs.append(first, [STARTED, *told((1.0, 1.0), (0.5, 0.5)).epochs])
    assert len(run_history.outline_of(store, store.runs.get(family)).epochs) == 2
    end(store, first, "finished")
    store.runs.append(second, [STARTED, *told((3.0, 3.0)).epochs])
    shown = run_history.outline_of(store, store.runs.get(family))
    assert [epoch.train.loss for epoch in shown.epochs] == [1.0, 0.5]
    end(store, second, "finished")
    shown = run_history.outline_of(store, store.runs.get(family))
    assert [epoch.train.loss for epoch in shown.epochs] == [2.0]
