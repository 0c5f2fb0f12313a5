"""What a recipe says about who learns when, and about which weights are kept and measured."""

from pathlib import Path
from typing import Any

import pytest
import torch

from core.backbones import catalogue
from core.data.tensors import framing, read_pixels
from core.events import EpochEnded, Event, KeptTested, Notice, RunFinished, StepEnded
from core.figures import balanced_accuracy, confusion_of, score
from core.recipe import Recipe
from core.results.predict import answering, restore
from core.training import kept_model
from core.training.loop import let_learn, train
from core.training.setup import prepare
from core.training.state import TrainingState, deciding_loss
from tests.conftest import MakeFolder, result_of, small_recipe
from tests.core.backbones.networks import batchnorms


def said_by(recipe: Recipe, folder: Path, features: Path | None = None) -> list[Event]:
    return list(train(recipe, folder / "model.safetensors", features))


def epochs_of(said: list[Event]) -> list[EpochEnded]:
    return [event for event in said if isinstance(event, EpochEnded)]


def test_penalties_do_not_choose_the_epoch(make_folder: MakeFolder, tmp_path: Path) -> None:
    recipe = small_recipe(make_folder(a=8, b=8), epochs=4, penalties={"l2": 5.0}, optimizer={"lr": 0.05})
    said = said_by(recipe, tmp_path)
    epochs = epochs_of(said)
    lowest = min(epochs, key=lambda ended: ended.val.cross_entropy if ended.val else 0)
    assert [deciding_loss(ended) for ended in epochs] == [ended.val.cross_entropy for ended in epochs if ended.val]
    ended = said[-1]
    assert isinstance(ended, RunFinished)
    assert ended.kept_epoch == lowest.epoch
    assert [one.epoch for one in epochs if one.kept][-1] == lowest.epoch
    assert kept_model.load_model(tmp_path / "model.safetensors").epoch == lowest.epoch


def test_the_last_epoch_is_kept_where_that_is_asked_for(make_folder: MakeFolder, tmp_path: Path) -> None:
    said = said_by(small_recipe(make_folder(a=6, b=6), epochs=3, keep="last"), tmp_path)
    assert all(ended.kept for ended in epochs_of(said))
    assert kept_model.load_model(tmp_path / "model.safetensors").epoch == 3


def ended(epoch: int, cross_entropy: float) -> EpochEnded:
    from core.events import Metrics

    return EpochEnded(epoch, Metrics(0, cross_entropy, 0, 0, 0), None, 1.0, 1.0)


def test_patience_counts_epochs_since_the_best_one() -> None:
    state = TrainingState(history=[ended(1, 3.0), ended(2, 2.0), ended(3, 2.0), ended(4, 2.5)])
    assert not state.out_of_patience(0)
    assert not state.out_of_patience(3)
    assert state.out_of_patience(2)


def test_a_run_without_patience_left_ends_and_says_so(make_folder: MakeFolder, tmp_path: Path) -> None:
    recipe = small_recipe(make_folder(a=6, b=6), epochs=30, patience=2, optimizer={"name": "sgd", "lr": 0.2})
    said = said_by(recipe, tmp_path)
    count = len(epochs_of(said))
    assert count < 30
    assert isinstance(said[-1], RunFinished)
    assert said[-1].kept_epoch == count - 2
    notices = [str(event.text) for event in said if isinstance(event, Notice)]
    assert f"Training ended after epoch {count}: the last 2 epochs brought no lower cross-entropy." in notices


def test_only_the_head_learns_at_first(make_folder: MakeFolder) -> None:
    recipe = small_recipe(make_folder(a=6, b=6), trainable=["layer4", "head"], head_first=2)
    setup = result_of(prepare(recipe, None))
    body = list(setup.model.get_submodule("layer4").modules())
    for epoch, joined in ((2, False), (3, True)):
        let_learn(setup, epoch)
        names = {name for name, p in setup.model.named_parameters() if p.requires_grad}
        assert {name.split(".")[0] for name in names} == ({"layer4", "fc"} if joined else {"fc"})
        assert all(module.training == joined for module in batchnorms(body))
    moved = [one.moved for one in epochs_of(list(train(recipe.model_copy(update={"epochs": 3}), setup_file(recipe))))]
    assert [one["layer4"] == 0 for one in moved] == [True, True, False]
    assert all(one["head"] > 0 for one in moved)


def setup_file(recipe: Recipe) -> Path:
    return Path(recipe.data).parent / "model.safetensors"


@pytest.mark.parametrize(("batchnorm", "changes"), [("keep", False), ("lagging", True), ("learn", True)])
def test_who_keeps_batchnorm_statistics(make_folder: MakeFolder, tmp_path: Path, batchnorm: str, changes: bool) -> None:
    settings = {"backbone": "mobilenet_v2", "weights": "pretrained", "trainable": ["conv", "head"], "epochs": 1}
    recipe = small_recipe(make_folder(a=6, b=6), batchnorm=batchnorm, **settings)
    before = result_of(prepare(recipe, None)).model.state_dict()
    said_by(recipe, tmp_path)
    after = kept_model.load_model(tmp_path / "model.safetensors").state
    for name, value in before.items():
        if "running" in name:
            assert torch.equal(value, after[name]) == (not (changes and name.startswith("features.18"))), name
    assert not torch.equal(before["features.18.1.weight"], after["features.18.1.weight"])


def test_from_scratch_validation_follows_training(make_folder: MakeFolder, tmp_path: Path) -> None:
    """Running means lag so far behind in 10 steps that the network answers one class only; measured ones do not."""
    data = make_folder(a=16, b=16)
    shared = {"weights": "random", "trainable": "all", "epochs": 5, "batch_size": 12, "optimizer": {"lr": 3e-3}}
    losses = {}
    for way in ("learn", "lagging"):
        last = epochs_of(said_by(small_recipe(data, batchnorm=way, **shared), tmp_path))[-1]
        assert last.val is not None
        losses[way] = last.val.cross_entropy - last.train.cross_entropy
    assert losses["learn"] < losses["lagging"]


def test_the_test_pictures_are_looked_at_once_with_the_kept_weights(make_folder: MakeFolder, tmp_path: Path) -> None:
    recipe = small_recipe(make_folder(a=12, b=12), test_fraction=0.25, epochs=3, keep="best", optimizer={"lr": 0.01})
    said = said_by(recipe, tmp_path)
    (tested,) = [event for event in said if isinstance(event, KeptTested)]
    kept = kept_model.load_model(tmp_path / "model.safetensors")
    assert tested.epoch == kept.epoch
    test = result_of(prepare(recipe, None)).split.test
    assert len(test) == 6
    assert answers_alone(kept, test) == tested.confusion
    measured = score(tested.confusion)
    assert measured is not None
    assert measured.share == pytest.approx(tested.metrics.accuracy)
    assert tested.metrics.others["balanced_accuracy"] == pytest.approx(balanced_accuracy(tested.confusion))


def answers_alone(kept: kept_model.KeptModel, examples: Any) -> Any:
    """The answers to pictures that are shown one by one."""
    answer, frame = answering(kept, restore(kept)), framing(kept.preprocessing)
    return confusion_of((one.label, int(answer(frame(read_pixels(one.path))[None]).argmax())) for one in examples)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("trainable", [["head"], ["stage7", "conv", "head"], "all"], ids=["head", "blocks", "all"])
def test_the_kept_model_answers_as_it_was_measured(
    make_folder: MakeFolder, tmp_path: Path, precision: str, trainable: Any
) -> None:
    settings = {"backbone": "mobilenet_v2", "epochs": 2, "val_fraction": 0.5}
    recipe = small_recipe(make_folder(a=12, b=12), precision=precision, trainable=trainable, **settings)
    epochs = epochs_of(said_by(recipe, tmp_path, tmp_path / "features"))
    kept = kept_model.load_model(tmp_path / "model.safetensors")
    assert kept.numbers is not None
    assert kept.numbers.trained == precision
    assert (kept.numbers.frozen is None) == (trainable == "all")
    val = result_of(prepare(recipe, None)).split.val
    assert answers_alone(kept, val) == epochs[kept.epoch - 1].confusion


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_l1_makes_half_of_the_heads_weights_exactly_zero(make_folder: MakeFolder, tmp_path: Path, name: str) -> None:
    recipe = small_recipe(
        make_folder(a=16, b=16), epochs=40, keep="last", optimizer={"name": name}, penalties={"l1": 0.03}
    )
    last = epochs_of(said_by(recipe, tmp_path, tmp_path / "features"))[-1]
    weight = kept_model.load_model(tmp_path / "model.safetensors").state["fc.weight"]
    assert last.zeros == pytest.approx((weight == 0).float().mean().item())
    assert last.zeros > 0.5
    assert last.train.l1 > 0


def test_the_exact_head_is_the_optimum(make_folder: MakeFolder, tmp_path: Path) -> None:
    """At the optimum of the objective, its gradient is 0; SGD ends above it."""
    data = make_folder(a=10, b=10)
    objectives = {}
    for optimizer in ({"name": "lbfgs"}, {"name": "sgd", "lr": 0.05}):
        recipe = small_recipe(data, epochs=20, optimizer=optimizer, penalties={"l2": 0.01}, keep="last")
        said = said_by(recipe, tmp_path, tmp_path / "features")
        objectives[optimizer["name"]] = [event for event in said if isinstance(event, StepEnded)][-1].metrics.loss
        if optimizer["name"] == "lbfgs":
            assert len([event for event in said if isinstance(event, StepEnded)]) == 20
    assert objectives["lbfgs"] < objectives["sgd"]


def test_seeds_of_their_own_change_only_what_they_name(make_folder: MakeFolder) -> None:
    data = make_folder(a=8, b=8)
    base = result_of(prepare(small_recipe(data), None))
    other = result_of(prepare(small_recipe(data, init_seed=5), None))
    split = result_of(prepare(small_recipe(data, split_seed=5), None))
    assert base.split == other.split != split.split
    assert not torch.equal(base.model.state_dict()["fc.weight"], other.model.state_dict()["fc.weight"])
    assert torch.equal(base.model.state_dict()["fc.weight"], split.model.state_dict()["fc.weight"])
    assert small_recipe(data, seed=3, order_seed=4).seeds.order == 4
    assert small_recipe(data, seed=3).seeds.init == 3


def test_frozen_random_blocks_are_named(make_folder: MakeFolder, tmp_path: Path) -> None:
    said = said_by(small_recipe(make_folder(a=4, b=4), weights="random", epochs=1), tmp_path)
    notices = [str(event.text) for event in said if isinstance(event, Notice)]
    assert any(text.startswith("Frozen blocks have random weights, which never learn: stem") for text in notices)


def test_blocks_fall_into_three_groups_of_rates() -> None:
    backbone = catalogue.get("mobilenet_v2")
    groups = [catalogue.rate_group(backbone, block.name) for block in backbone.blocks]
    assert groups == ["early"] * 4 + ["late"] * 5 + ["head"]
