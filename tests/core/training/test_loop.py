"""The loop on small pictures: what it learns, what it leaves alone, what it says, how it ends."""

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch

from core.backbones import catalogue
from core.errors import BadImage, Diverged
from core.events import (
    ArtifactSaved,
    EpochEnded,
    Event,
    Notice,
    Progress,
    RunFinished,
    RunStarted,
    RunStopped,
    StepEnded,
    StopRequested,
)
from core.figures import score
from core.training import kept_model
from core.training.loop import train, training_batches
from core.training.setup import prepare
from tests.conftest import MakeFolder, result_of, small_recipe

Kind = TypeVar("Kind")


def only(kind: type[Kind], events: Sequence[Event]) -> list[Kind]:
    return [event for event in events if isinstance(event, kind)]


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def test_the_order_of_events(make_folder: MakeFolder, weights_file: Path) -> None:
    data = make_folder(a=8, b=8)
    events = list(train(small_recipe(data, trainable=["layer4", "head"]), weights_file))
    names = [type(event) for event in events if not isinstance(event, Progress | Notice)]
    assert names[0] is RunStarted
    assert names[1:5] == [StepEnded, StepEnded, StepEnded, EpochEnded]
    assert names[-2:] == [ArtifactSaved, RunFinished]
    (started,) = only(RunStarted, events)
    assert (started.classes, started.train_images, started.val_images) == (("a", "b"), 12, 4)
    assert (started.epochs, started.steps_per_epoch, started.device) == (2, 3, "cpu")
    backbone = catalogue.get("resnet18")
    chosen = catalogue.select(backbone, ["layer4", "head"])
    counts = (started.trainable_parameters, started.frozen_parameters)
    assert counts == catalogue.parameter_counts(backbone, chosen, classes=2)
    assert [step.step for step in only(StepEnded, events)] == [1, 2, 3, 4, 5, 6]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(make_folder: MakeFolder, weights_file: Path) -> None:
    data = make_folder(a=6, b=6)

    def losses(seed: int) -> list[float]:
        events = train(small_recipe(data, backbone="squeezenet1_1", trainable="all", seed=seed), weights_file)
        return [event.metrics.loss for event in events if isinstance(event, StepEnded)]

    assert losses(0) == losses(0)
    assert losses(0) != losses(1)


def test_it_overfits_one_batch(make_folder: MakeFolder, weights_file: Path) -> None:
    recipe = small_recipe(make_folder(a=4, b=4), trainable="all", epochs=15, batch_size=8)
    epochs = only(EpochEnded, list(train(recipe, weights_file)))
    assert epochs[-1].train.accuracy == 1.0
    assert epochs[-1].train.loss < 0.05


def test_gradients_reach_just_the_trainable_blocks(make_folder: MakeFolder) -> None:
    recipe = small_recipe(make_folder(a=4, b=4), trainable=["layer2", "layer4.1.conv2"], epochs=1)
    setup = result_of(prepare(recipe, None))
    setup.model(torch.randn(2, 3, 32, 32)).sum().backward()
    reached = {name for name, parameter in setup.model.named_parameters() if parameter.grad is not None}
    assert reached == {
        name
        for name, _ in setup.model.named_parameters()
        if name.startswith("layer2.") or name == "layer4.1.conv2.weight"
    }


@pytest.mark.parametrize("optimizer", [{"name": "sgd"}, {"name": "adam"}])
def test_frozen_blocks_change_nothing_bit_for_bit(
    make_folder: MakeFolder, tmp_path: Path, optimizer: dict[str, str]
) -> None:
    data = make_folder(a=6, b=6)
    settings: dict[str, Any] = {"trainable": ["layer2", "head"], "optimizer": optimizer, "penalties": {"l2": 1e-3}}

    def state_after(epochs: int) -> dict[str, torch.Tensor]:
        file = tmp_path / f"{epochs}.safetensors"
        job = train(small_recipe(data, epochs=max(epochs, 1), **settings), file)
        if epochs:
            list(job)
        else:
            while not isinstance(next(job), RunStarted):
                pass
            job.throw(StopRequested())
        return dict(kept_model.load_model(file).state)

    before, after = state_after(0), state_after(1)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith(("layer2.", "fc."))}


def test_epoch_metrics_are_means_over_images(make_folder: MakeFolder, weights_file: Path) -> None:
    recipe = small_recipe(make_folder(a=5, b=7), penalties={"l1": 1e-4, "l2": 1e-3}, epochs=1)
    events = list(train(recipe, weights_file))
    (epoch,) = only(EpochEnded, events)
    steps = only(StepEnded, events)
    sizes = [4, 5]  # 9 training images in batches of 4: the last one joins the batch before.
    for term in ("loss", "cross_entropy", "l1", "l2", "accuracy"):
        mean = sum(size * getattr(step.metrics, term) for size, step in zip(sizes, steps, strict=True)) / 9
        assert getattr(epoch.train, term) == pytest.approx(mean, rel=1e-6)
    assert epoch.train.loss == pytest.approx(epoch.train.cross_entropy + epoch.train.l1 + epoch.train.l2)
    assert epoch.train.l1 > 0
    assert epoch.train.l2 > 0


def test_the_kept_weights_are_those_of_the_lowest_validation_loss(make_folder: MakeFolder, weights_file: Path) -> None:
    recipe = small_recipe(make_folder(a=6, b=6), trainable="all", epochs=5, optimizer={"lr": 0.02})
    events = list(train(recipe, weights_file))
    losses = [epoch.val.loss for epoch in only(EpochEnded, events) if epoch.val]
    best = losses.index(min(losses)) + 1
    (finished,) = only(RunFinished, events)
    assert finished.kept_epoch == best == kept_model.load_model(weights_file).epoch
    assert only(ArtifactSaved, events)[-1].epoch == best


def test_stop_ends_within_a_batch_and_keeps_what_was_learnt(make_folder: MakeFolder, weights_file: Path) -> None:
    job = train(small_recipe(make_folder(a=8, b=8), epochs=50), weights_file)
    while not (isinstance(event := next(job), StepEnded) and event.step == 2):
        pass
    rest = [job.throw(StopRequested()), *job]
    assert [type(event) for event in rest] == [ArtifactSaved, RunStopped]
    assert kept_model.load_model(weights_file).epoch == 0


def test_stop_after_an_epoch_keeps_the_best_one(make_folder: MakeFolder, weights_file: Path) -> None:
    job = train(small_recipe(make_folder(a=8, b=8), epochs=50), weights_file)
    while not isinstance(event := next(job), EpochEnded):
        pass
    saved, stopped = [job.throw(StopRequested()), *job]
    assert isinstance(saved, ArtifactSaved)
    assert isinstance(stopped, RunStopped)
    assert (stopped.kept_epoch, stopped.val) == (1, score(event.confusion))
    assert kept_model.load_model(weights_file).epoch == 1


@pytest.mark.parametrize("optimizer", [{"name": "sgd", "lr": 1e30}, {"name": "adam", "lr": 1e30}])
def test_a_loss_that_is_no_number_ends_the_run_with_advice(
    make_folder: MakeFolder, weights_file: Path, optimizer: dict[str, Any]
) -> None:
    job = train(small_recipe(make_folder(a=8, b=8), trainable="all", optimizer=optimizer), weights_file)
    with pytest.raises(Diverged, match=r"Lower the learning rate from 1e\+30 to 1e\+29"):
        list(job)
    state = kept_model.load_model(weights_file).state
    assert all(torch.isfinite(tensor).all() for tensor in state.values() if tensor.is_floating_point())


def test_a_learning_rate_too_small_to_change_anything_is_said(make_folder: MakeFolder, weights_file: Path) -> None:
    events = list(train(small_recipe(make_folder(a=8, b=8), optimizer={"lr": 1e-30}, epochs=3), weights_file))
    assert any("Nothing was learnt" in str(notice.text) for notice in only(Notice, events))
    assert isinstance(events[-1], RunFinished)


@pytest.mark.parametrize(
    ("counts", "batch_size", "sentence"),
    [
        ({"a": 4, "b": 4}, 99, "lowered from 99 to 6"),
        ({"a": 4, "b": 4}, 1, "raised from 1 to 2"),
        ({"a": 4, "b": 5}, 3, "the last batch"),
        ({"a": 1, "b": 4}, 4, "A single picture stays in training"),
    ],
)
def test_what_is_done_differently_is_said(
    make_folder: MakeFolder, weights_file: Path, counts: dict[str, int], batch_size: int, sentence: str
) -> None:
    recipe = small_recipe(make_folder(**counts), batch_size=batch_size, epochs=1, trainable="all")
    events = list(train(recipe, weights_file))
    assert any(sentence.lower() in str(notice.text).lower() for notice in only(Notice, events))
    assert isinstance(events[-1], RunFinished)


def test_the_best_weights_are_written_on_the_way(
    make_folder: MakeFolder, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.training.loop.AFTER_EPOCHS", 0.0)
    happened: list[Event] = []
    for event in train(small_recipe(make_folder(a=8, b=8), epochs=4), weights_file):
        if isinstance(event, ArtifactSaved):
            assert kept_model.load_model(weights_file).epoch == only(EpochEnded, happened)[-1].epoch == event.epoch
        happened.append(event)
    assert only(ArtifactSaved, happened)


def test_what_was_learnt_is_kept_when_a_picture_vanishes(
    make_folder: MakeFolder, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.training.inputs.MEMORY_SHARE", 0.0)
    data = make_folder(a=8, b=8)
    job = train(small_recipe(data, epochs=50), weights_file)
    while not isinstance(next(job), EpochEnded):
        pass
    (data / "a" / "0.png").unlink()
    with pytest.raises(BadImage, match=r"0\.png is not there"):
        list(job)
    assert kept_model.load_model(weights_file).epoch >= 1


def test_without_validation_images_training_decides(make_folder: MakeFolder, weights_file: Path) -> None:
    events = list(train(small_recipe(make_folder(a=1, b=1), epochs=2), weights_file))
    assert all(epoch.val is None for epoch in only(EpochEnded, events))
    (finished,) = only(RunFinished, events)
    assert finished.val is None
    assert finished.kept_epoch in (1, 2)


def test_a_damaged_picture_is_named(make_folder: MakeFolder, weights_file: Path) -> None:
    data = make_folder(a=4, b=4)
    (data / "a" / "0.png").write_bytes(b"not a picture")
    with pytest.raises(BadImage, match=r"0\.png is not a picture"):
        list(train(small_recipe(data), weights_file))


def test_own_train_and_val_folders_are_used(make_folder: MakeFolder, tmp_path: Path, weights_file: Path) -> None:
    make_folder(name="own/train", a=4, b=4)
    make_folder(name="own/val", a=1, b=2)
    (started,) = only(RunStarted, list(train(small_recipe(tmp_path / "own", epochs=1), weights_file)))
    assert (started.train_images, started.val_images) == (8, 3)


def test_a_run_is_described_by_its_recipe_alone(make_folder: MakeFolder, weights_file: Path) -> None:
    recipe = small_recipe(make_folder(a=4, b=4), epochs=1)
    list(train(recipe, weights_file))
    kept = kept_model.load_model(weights_file)
    assert (kept.recipe, kept.classes) == (recipe, ("a", "b"))
    assert dataclasses.asdict(kept.preprocessing)["crop"] == 32


def test_the_losses_are_those_of_a_plain_pytorch_loop(make_folder: MakeFolder, weights_file: Path) -> None:
    recipe = small_recipe(
        make_folder(a=8, b=8), trainable="all", precision="fp32", optimizer={"name": "sgd", "lr": 0.05}
    )
    setup = result_of(prepare(recipe, None))
    network = copy.deepcopy(setup.inputs.network).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    expected = []
    for epoch in (1, 2):
        for (images,), labels in setup.inputs.training(training_batches(setup, epoch), epoch):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()
            expected.append(loss.item())
    losses = [step.metrics.loss for step in only(StepEnded, list(train(recipe, weights_file)))]
    assert losses == pytest.approx(expected, rel=1e-4)
