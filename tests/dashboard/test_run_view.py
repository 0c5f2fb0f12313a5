"""What the live view says of the features."""

from core.events import EpochEnded, FeaturesReady, Metrics, RunStarted
from dashboard.run_history import RunHistory
from dashboard.train.run_view import in_words, pace

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
