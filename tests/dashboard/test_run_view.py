"""What the live view says of the features."""

from core import events
from core.events import EpochEnded, FeaturesReady, Metrics, RunStarted
from core.jobs.store import Store
from core.recipe_settings import parse
from dashboard import run_history
from dashboard.run_history import RunHistory
from dashboard.train.run_view import family_line, in_words, pace, results_in_words
from tests.core.jobs.by_number import end

STARTED = RunStarted(("a", "b"), 8, 2, 10, 20, epochs=5, steps_per_epoch=4, device="cpu", precision="fp32")
METRICS = Metrics(1.0, 1.0, 0.0, 0.0, 0.5)
EPOCHS = tuple(EpochEnded(n, METRICS, METRICS, seconds=0.1, images_per_second=80.0) for n in (1, 2, 3, 4, 5))


def test_computed_now() -> None:
    line = in_words(FeaturesReady(156, 1280, seconds=1.5, reused=False), STARTED, EPOCHS)
    assert line.startswith("The frozen part ran once: 1,280 features × 156 images, computed in 1.5 s. 40 steps per")
    # Five epochs of 1.5 s and 0.1 s each, against 1.5 s once and five of 0.1 s: 8 / 2.
    assert line.endswith("32 bits on the CPU; an estimated 4 times faster than running all of it in every epoch.")


def test_reused() -> None:
    line = in_words(FeaturesReady(156, 1280, seconds=1.5, reused=True), STARTED, EPOCHS)
    assert "reused (in an earlier run they took 1.5 s)." in line
    assert "an estimated 16 times faster" in line


def test_before_the_first_epoch_there_is_no_estimate() -> None:
    assert "estimated" not in in_words(FeaturesReady(156, 1280, 1.5, False), STARTED, ())


def test_without_features_the_speed_is_said() -> None:
    assert in_words(None, STARTED, EPOCHS) == "40 steps per second, in 32 bits on the CPU."
    assert in_words(None, STARTED, ()) == "Training in 32 bits on the CPU."
    slow = (EpochEnded(1, METRICS, METRICS, seconds=8.0, images_per_second=1.0),)
    assert in_words(None, STARTED, slow) == "2.0 s per step, in 32 bits on the CPU."


def test_a_long_run_is_looked_at_less_often() -> None:
    def of(seconds: float) -> float:
        return pace(RunHistory(started=STARTED, epochs=(EpochEnded(1, METRICS, METRICS, seconds, 1.0),)))

    assert pace(RunHistory()) == 0.5
    # Five epochs: at least 20 looks at a run of 5, 25, 45, 500 and 5,000 seconds.
    assert [of(seconds) for seconds in (1.0, 5.0, 9.0, 100.0, 1000.0)] == [0.5, 1.0, 2.0, 4.0, 4.0]


def test_what_was_kept_tested_and_moved(store: Store) -> None:
    run = store.runs.queue(parse({"data": "photos"}))
    kept = EpochEnded(1, METRICS, METRICS, 1.0, 1.0, ((0, 0, 1), (1, 0, 1)), {"head": 0.5}, zeros=0.25, kept=True)
    later = EpochEnded(2, METRICS, METRICS, 1.0, 1.0, ((0, 0, 1), (1, 0, 1)), {"head": 0.75}, zeros=0.5)
    store.runs.append(run, [STARTED, kept, later])
    head = "How far the blocks moved, as a share of their size: head 0.5 · 25.0 % of the head's weights are exactly 0"
    assert results_in_words(store.runs.get(run), run_history.read_history(store, run)) == [head]
    store.runs.append(run, [events.KeptTested(1, METRICS, ((0, 0, 3), (1, 0, 1)))])
    tested, moved = results_in_words(store.runs.get(run), run_history.read_history(store, run))
    assert (tested, moved) == ("Test, looked at once: 75.0 % (3 of 4, 95 % interval 30 % to 95 %) (epoch 1)", head)


def test_a_run_of_before_has_nothing_more_to_say(store: Store) -> None:
    run = store.runs.get(store.runs.queue(parse({"data": "photos"})))
    assert results_in_words(run, RunHistory(started=STARTED, epochs=EPOCHS)) == []


def test_a_family_says_how_many_of_its_runs_have_ended_and_what_they_came_to(store: Store) -> None:
    family = store.runs.queue(parse({"data": "photos", "repeats": 3}))
    assert family_line(store.runs.get(family)) == "**Training** · 0 of 3 runs have ended"
    for child, right in ((family + 1, 3), (family + 2, 1)):
        counts = ((0, 0, right), (0, 1, 4 - right))
        store.runs.append(child, [STARTED, EpochEnded(1, METRICS, METRICS, 1.0, 1.0, counts, kept=True)])
        end(store, child, "finished", seconds=4.0)
    mean = "validation **mean 50.0 %, 25 to 75 % of 2 runs (3 of 4, 1 of 4)**"
    assert family_line(store.runs.get(family)) == f"**Training** · 2 of 3 runs have ended · {mean} · 8 s"
