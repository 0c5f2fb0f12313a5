"""A run that was interrupted ends like one that never was: the same losses, the same weights, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from core.errors import BadCheckpoint
from core.events import (
    Checkpointing,
    EpochEnded,
    Event,
    KeptTested,
    Notice,
    Progress,
    RunFinished,
    RunStarted,
    RunStopped,
    StepEnded,
    StopRequested,
)
from core.optimizers import OPTIMIZERS
from core.recipe import Recipe
from core.recipe_settings import parse
from core.training import checkpoint, kept_model
from core.training.loop import train, training_batches
from core.training.objective import means
from core.training.setup import prepare
from tests.conftest import MakeFolder, result_of, small_recipe
from tests.core.jobs.old_homes import ROOT, same_answers, unpack_old_home, weights_of_old_code

Moment = Callable[[Event], bool]


def nth_step(number: int) -> Moment:
    return lambda event: isinstance(event, StepEnded) and event.step == number


def end_of_epoch(number: int) -> Moment:
    return lambda event: isinstance(event, EpochEnded) and event.epoch == number


def last_step(said: list[Event]) -> Moment:
    return nth_step([event.step for event in said if isinstance(event, StepEnded)][-1])


def validating(event: Event) -> bool:
    return isinstance(event, Progress) and str(event.stage) == "Validating"


class Runs:
    """Trains in a folder of its own, in one go or interrupted."""

    def __init__(self, folder: Path, features: Path | None) -> None:
        folder.mkdir()
        self.weights = folder / "model.safetensors"
        self.resume = folder / "resume.pt"
        self._features = features

    def go(self, recipe: Recipe, until: Moment | None = None) -> list[Event]:
        """What one sitting says."""
        job = train(recipe, self.weights, self._features, self.resume)
        said: list[Event] = []
        for event in job:
            said.append(event)
            if until and until(event):
                said += [job.throw(StopRequested()), *job]
        return said

    def state(self) -> dict[str, torch.Tensor]:
        """The weights that were kept."""
        return dict(kept_model.load_model(self.weights).state)


def assert_same_weights(one: Runs, other: Runs) -> None:
    kept, expected = one.state(), other.state()
    assert kept.keys() == expected.keys()
    assert all(torch.equal(kept[name], tensor) for name, tensor in expected.items())


def losses(said: list[Event]) -> list[tuple[int, float]]:
    return [(event.step, event.metrics.loss) for event in said if isinstance(event, StepEnded)]


def epochs(said: list[Event]) -> list[tuple[Any, ...]]:
    return [
        (event.epoch, event.train, event.val, event.confusion, event.moved, event.zeros, event.kept)
        for event in said
        if isinstance(event, EpochEnded)
    ]


def figures_of_test(said: list[Event]) -> list[KeptTested]:
    return [event for event in said if isinstance(event, KeptTested)]


WAYS = [
    pytest.param({"optimizer": {"name": "sgd"}, "precision": "fp32"}, True, id="sgd-fp32-features"),
    pytest.param({"optimizer": {"name": "adam"}, "precision": "bf16"}, True, id="adam-bf16-features"),
    pytest.param({"optimizer": {"name": "adam"}, "precision": "fp32"}, False, id="adam-fp32"),
    pytest.param(
        {"optimizer": {"name": "sgd"}, "precision": "bf16", "trainable": "all", "epochs": 3},  # A CPU is slow at it.
        False,
        id="sgd-bf16-all",
    ),
    pytest.param({"augment": "standard", "views": 0, "penalties": {"l1": 1e-5}}, True, id="always-new-variations"),
    pytest.param({"augment": "standard", "views": 3}, True, id="kept-variations"),
    pytest.param({"augment": "flip", "views": 0, "optimizer": {"name": "sgd", "nesterov": True}}, False, id="flips"),
    pytest.param({"schedule": {"name": "one_cycle"}, "rates": {"late": 0.1}}, True, id="one-cycle-and-rates"),
    pytest.param({"schedule": {"name": "cosine", "warm_up": 1.5}, "head_first": 2}, True, id="warm-up-and-head-first"),
    pytest.param(
        {"batchnorm": "lagging", "class_weights": "balanced", "label_smoothing": 0.1, "init_seed": 3, "order_seed": 4},
        True,
        id="lagging-weights-smoothing-and-seeds",
    ),
    pytest.param(
        {"weights": "pretrained", "batchnorm": "keep", "keep": "last", "backbone": "mobilenet_v2"},
        True,
        id="kept-statistics",
    ),
    pytest.param({"penalties": {"l1": 1e-3}, "patience": 3, "test_fraction": 0.2}, True, id="zeros-patience-and-test"),
    *(
        pytest.param({"optimizer": {"name": name}}, True, id=f"{name}-row")
        for name in OPTIMIZERS
        if name not in ("sgd", "adam", "lbfgs")  # The first two are above; the last trains the head only.
    ),
    pytest.param({"optimizer": {"name": "lbfgs"}, "trainable": ["head"]}, True, id="lbfgs-row"),
]


@pytest.mark.parametrize(("settings", "with_features"), WAYS)
def test_an_interrupted_run_ends_like_one_that_was_not(
    make_folder: MakeFolder, tmp_path: Path, settings: dict[str, Any], with_features: bool
) -> None:
    # A small network that has both what moves without gradients, BatchNorm, and what is random, dropout.
    given = {"backbone": "mnasnet0_5", "trainable": ["stage7", "conv", "head"], "epochs": 4, **settings}
    recipe = small_recipe(make_folder(a=10, b=10), **given)
    features = tmp_path / "features" if with_features else None
    whole, parts = Runs(tmp_path / "whole", features), Runs(tmp_path / "parts", features)
    expected = whole.go(recipe)

    said: list[Event] = []
    for moment in (nth_step(2), validating, end_of_epoch(2), last_step(expected)):
        sitting = parts.go(recipe, moment)
        assert isinstance(sitting[-1], RunStopped)
        said += sitting
    last = parts.go(recipe)
    said += last

    assert losses(said) == losses(expected)
    assert epochs(said) == epochs(expected)
    assert figures_of_test(said) == figures_of_test(expected)
    assert isinstance(last[-1], RunFinished)
    assert_same_weights(parts, whole)


def test_a_finished_run_goes_on_as_if_it_had_been_longer_from_the_start(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    data = make_folder(a=8, b=8)
    short, long = (small_recipe(data, trainable="all", epochs=epochs) for epochs in (2, 4))
    whole, parts = Runs(tmp_path / "whole", None), Runs(tmp_path / "parts", None)
    expected, said = whole.go(long), [*parts.go(short), *parts.go(long)]
    assert losses(said) == losses(expected)
    assert_same_weights(parts, whole)


def test_the_test_after_a_pause_is_of_the_kept_weights(make_folder: MakeFolder, tmp_path: Path) -> None:
    """With so high a rate the best epoch comes early: the weights in memory are others when the run has gone on."""
    settings = {"trainable": "all", "optimizer": {"name": "sgd", "lr": 0.3}, "test_fraction": 0.25, "epochs": 4}
    recipe = small_recipe(make_folder(a=10, b=10), **settings)
    whole, parts = Runs(tmp_path / "whole", None), Runs(tmp_path / "parts", None)
    expected = whole.go(recipe)
    said = [*parts.go(recipe, end_of_epoch(3)), *parts.go(recipe)]
    assert figures_of_test(said) == figures_of_test(expected)
    assert figures_of_test(said)[0].epoch <= 3, "it was kept after the pause"


def test_more_epochs_say_what_they_do_to_the_schedule(make_folder: MakeFolder, tmp_path: Path) -> None:
    data, runs = make_folder(a=8, b=8), Runs(tmp_path / "run", None)
    short, long = (small_recipe(data, epochs=epochs, schedule={"name": "cosine"}) for epochs in (1, 2))
    runs.go(short)
    notices = [str(event.text) for event in runs.go(long) if isinstance(event, Notice)]
    assert any("stretched from 1 to 2 epochs" in text for text in notices)
    assert not any("stretched" in str(event.text) for event in runs.go(long) if isinstance(event, Notice))


def test_a_run_that_goes_on_says_how_much_is_done(make_folder: MakeFolder, tmp_path: Path) -> None:
    recipe = small_recipe(make_folder(a=8, b=8), epochs=3)
    runs = Runs(tmp_path / "run", None)
    first, second = runs.go(recipe, nth_step(5)), runs.go(recipe)
    (began,) = [event for event in first if isinstance(event, RunStarted)]
    (went_on,) = [event for event in second if isinstance(event, RunStarted)]
    assert (began.epochs_done, began.steps_done) == (0, 0)
    assert (went_on.epochs_done, went_on.steps_done) == (1, 5)
    seconds = [event.seconds for event in (*first, *second) if isinstance(event, RunStopped | RunFinished)]
    assert seconds[0] < seconds[1]


def test_checkpoints_are_announced_before_they_are_made(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.training.loop.AMID_EPOCHS", 0.0)
    recipe, runs = small_recipe(make_folder(a=8, b=8), epochs=1), Runs(tmp_path / "run", None)
    announced: list[int] = []
    for event in train(recipe, runs.weights, None, runs.resume):
        if isinstance(event, Checkpointing):
            kept = torch.load(runs.resume, weights_only=True) if announced else {"steps": 0}
            assert kept["steps"] == (announced[-1] if announced else 0)
            announced.append(event.steps)
    assert announced == [1, 2, 3, 0]


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_damaged_state_is_an_error_with_a_way_out(
    make_folder: MakeFolder, tmp_path: Path, damage: bytes | None
) -> None:
    recipe, runs = small_recipe(make_folder(a=4, b=4), epochs=1), Runs(tmp_path / "run", None)
    runs.go(recipe)
    whole = runs.resume.read_bytes()
    runs.resume.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    with pytest.raises(BadCheckpoint, match="as a new run"):
        runs.go(recipe)


def test_the_state_of_another_network_is_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    data, runs = make_folder(a=4, b=4), Runs(tmp_path / "run", None)
    runs.go(small_recipe(data, epochs=1))
    with pytest.raises(BadCheckpoint, match="as a new run"):
        runs.go(small_recipe(data, epochs=1, trainable=["layer4", "head"]))


@pytest.mark.slow
def test_a_run_that_the_code_before_has_paused_goes_on_as_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # The run's pictures are named by a path that begins here.
    expected = unpack_old_home(tmp_path / "home")
    paused = expected.finished.run
    folder = tmp_path / "home" / "runs" / str(paused)
    recipe = parse(expected.runs[paused].recipe)
    saved = checkpoint.read_state(folder / "resume.pt")
    setup = result_of(prepare(recipe, tmp_path / "home" / "features"))
    checkpoint.restore_state(setup, saved)
    state = checkpoint.training_state(saved)
    assert (state.epoch - 1) * len(training_batches(setup, 1)) + state.steps == expected.runs[paused].steps
    assert state.tally.sums.keys() == means().keys()

    files = (folder / "model.safetensors", tmp_path / "home" / "features", folder / "resume.pt")
    *_, ended = train(recipe, *files)
    assert isinstance(ended, RunFinished)
    assert ended.kept_epoch == expected.finished.best_epoch
    whole = tmp_path / "whole.safetensors"
    save_file(dict(kept_model.load_model(files[0]).state), whole)
    assert same_answers(whole, weights_of_old_code())


def test_where_the_first_layer_has_learnt_pictures_must_be_prepared_as_before(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    """A state of before November 2026 says nothing of it: its first layer has learnt for the catalogue's way."""
    data = make_folder(a=4, b=4)
    for number, trainable in enumerate((["head"], "all")):
        recipe = small_recipe(data, backbone="squeezenet1_1", weights="pretrained", epochs=1, trainable=trainable)
        runs = Runs(tmp_path / str(number), None)
        runs.go(recipe, nth_step(1))
        saved = checkpoint.read_state(runs.resume)
        del saved["about"]["preprocessing"], saved["about"]["weights"]
        torch.save(saved, runs.resume)
        if trainable == "all":
            with pytest.raises(BadCheckpoint, match="way in which pictures are prepared"):
                runs.go(recipe)
        else:
            assert isinstance(runs.go(recipe)[-1], RunFinished)


def test_a_paused_run_needs_the_weights_that_it_began_with(make_folder: MakeFolder, tmp_path: Path) -> None:
    data, first, second = make_folder(a=4, b=4), Runs(tmp_path / "first", None), Runs(tmp_path / "second", None)
    first.go(small_recipe(data, epochs=1, keep="last"))
    own = small_recipe(data, weights=str(first.weights), trainable=["head"])
    second.go(own, nth_step(1))
    kept = first.weights.read_bytes()
    first.go(small_recipe(data, epochs=2, keep="last"))
    with pytest.raises(BadCheckpoint, match="weights that it starts from"):
        second.go(own)
    first.weights.write_bytes(kept)
    assert isinstance(second.go(own)[-1], RunFinished)
