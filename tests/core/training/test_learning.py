"""Optimizers against steps computed from their formulas, BatchNorms' statistics against a pass over all pictures."""

import copy
import math
from functools import partial
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from core.backbones import catalogue
from core.backbones.build import freeze
from core.optimizers import OPTIMIZER, OPTIMIZERS, Adam, AdamW, Moment, Optimizer, Sgd
from core.recipe import Penalties
from core.recipe_settings import parse
from core.training.learning import ROWS, build_optimizer, estimate, learning, set_rates, shrink
from core.training.objective import Objective, terms
from core.training.plan import measured_batchnorms
from tests.core.backbones.networks import EVERY, batchnorms, on_meta
from tests.core.test_optimizers import other_value

GRADIENTS = (0.5, -0.2, 0.1)
START = 1.0


def walk(settings: Optimizer) -> float:
    """Where the weight is after a step with each of GRADIENTS."""
    weight = nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = build_optimizer(settings, {"head": [weight]}, {"head": 1.0})
    for gradient in GRADIENTS:
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    return weight.item()


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(nesterov: bool) -> None:
    weight, velocity = START, 0.0
    for gradient in GRADIENTS:
        velocity = 0.9 * velocity + gradient
        weight -= 0.1 * (gradient + 0.9 * velocity if nesterov else velocity)
    assert walk(Sgd(lr=0.1, momentum=0.9, nesterov=nesterov)) == pytest.approx(weight, rel=1e-12)


def test_adam() -> None:
    weight, mean, square = START, 0.0, 0.0
    for step, gradient in enumerate(GRADIENTS, start=1):
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.99 * square + 0.01 * gradient**2
        weight -= 0.1 * (mean / (1 - 0.8**step)) / (math.sqrt(square / (1 - 0.99**step)) + 1e-6)
    assert walk(Adam(lr=0.1, betas=(0.8, 0.99), eps=1e-6)) == pytest.approx(weight, rel=1e-12)


def test_adamw_takes_its_decay_off_the_weight_and_not_through_the_gradient() -> None:
    weight, mean, square = START, 0.0, 0.0
    for step, gradient in enumerate(GRADIENTS, start=1):
        weight -= 0.1 * 0.3 * weight
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.99 * square + 0.01 * gradient**2
        weight -= 0.1 * (mean / (1 - 0.8**step)) / (math.sqrt(square / (1 - 0.99**step)) + 1e-6)
    settings = {"lr": 0.1, "betas": (0.8, 0.99), "eps": 1e-6}
    assert walk(AdamW(**settings, weight_decay=0.3)) == pytest.approx(weight, rel=1e-12)
    assert walk(AdamW(**settings, weight_decay=0)) == pytest.approx(walk(Adam(**settings)), rel=1e-12)


def test_l2_moves_a_weight_by_its_derivative() -> None:
    """d/dw l2·w² = 2·l2·w; the logits do not depend on w here."""
    weight = nn.Parameter(torch.tensor([[-2.0]]))
    optimizer = build_optimizer(Sgd(lr=0.1, momentum=0.0), {"head": [weight]}, {"head": 1.0})
    made = terms(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long), Objective([weight], Penalties(l2=0.3)))
    made.smooth.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    assert weight.item() == pytest.approx(-2.0 + 0.1 * 2 * 0.3 * 2.0)


def shrunk(optimizer: dict[str, object], l1: float, start: list[float], gradient: list[float]) -> list[float]:
    """Where weights are after one step and the proximal step."""
    recipe = parse({"data": "photos", "optimizer": optimizer, "penalties": {"l1": l1}})
    weight = nn.Parameter(torch.tensor(start))
    built = build_optimizer(recipe.optimizer, {"head": [weight]}, {"head": 1.0})
    weight.grad = torch.tensor(gradient)
    built.step()
    shrink(built, recipe, [weight])
    return weight.tolist()


def test_the_proximal_step_of_sgd_by_hand() -> None:
    """t = lr·l1 / (1 − momentum) = 0.1·0.2 / 0.5 = 0.04. Weights after the step: 0.9, −0.03, 0.05."""
    after = shrunk({"name": "sgd", "lr": 0.1, "momentum": 0.5}, 0.2, [1.0, -0.03, 0.05], [1.0, 0.0, 0.0])
    assert after == pytest.approx([0.86, 0.0, 0.01], abs=1e-7)
    assert after[1] == 0.0


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_the_proximal_step_of_adam_by_hand(name: str) -> None:
    """After one step √v̂ = |g|, so t = lr·l1 / (|g| + ε) and the step itself is lr·sign(g).

    With lr 0.1, l1 0.2 and g of 2, 0.5 and 0.5: t = 0.01, 0.04, 0.04. Weights after the step: 0.9, −0.1, 0.03.
    """
    own = {"weight_decay": 0} if name == "adamw" else {}
    after = shrunk({"name": name, "lr": 0.1, **own}, 0.2, [1.0, 0.0, 0.13], [2.0, 0.5, 0.5])
    assert after == pytest.approx([0.89, -0.06, 0.0], abs=1e-6)
    assert after[2] == 0.0


def test_the_proximal_step_spares_what_is_not_penalised() -> None:
    recipe = parse({"data": "photos", "optimizer": {"name": "sgd"}, "penalties": {"l1": 9.0}})
    weight, bias = (nn.Parameter(torch.tensor([0.001])) for _ in range(2))
    built = build_optimizer(recipe.optimizer, {"head": [weight, bias]}, {"head": 1.0})
    weight.grad, bias.grad = torch.zeros(1), torch.zeros(1)
    built.step()
    shrink(built, recipe, [weight])
    assert (weight.item(), bias.item()) == (0.0, pytest.approx(0.001))


def test_each_group_has_its_own_rate_and_the_schedule_scales_them_all() -> None:
    settings = {"data": "photos", "optimizer": {"lr": 0.1}, "schedule": {"name": "cosine"}}
    recipe = parse(settings | {"rates": {"head": 1.0, "late": 0.5, "early": 0.0}})
    groups = {name: [nn.Parameter(torch.ones(1))] for name in ("head", "late", "early")}
    built = build_optimizer(recipe.optimizer, groups, recipe.rates.model_dump())
    assert set_rates(built, recipe, Moment(step=5, steps_per_epoch=1, epochs=10)) == pytest.approx(0.05)
    assert [group["lr"] for group in built.param_groups] == pytest.approx([0.05, 0.025, 0.0])


TORCHS_OWN = {
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
    "adamw": torch.optim.AdamW,
    "lbfgs": partial(torch.optim.LBFGS, line_search_fn="strong_wolfe"),
}


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimizer_steps_as_torchs_own(name: str) -> None:
    values = {one.path.split(".")[-1]: other_value(one) for one in OPTIMIZER.settings(name).values()}
    own, theirs = (nn.Parameter(torch.tensor([START, -2.0])) for _ in range(2))
    built = build_optimizer(OPTIMIZERS[name].model_validate(values), {"head": [own]}, {"head": 0.5})
    reference = TORCHS_OWN[name]([theirs], **values | {"lr": 0.5 * values["lr"]})

    def loss(optimizer: torch.optim.Optimizer, weight: nn.Parameter) -> torch.Tensor:
        optimizer.zero_grad()
        bowl = (weight - torch.tensor([0.3, 0.7])).square().sum()
        bowl.backward()  # type: ignore[no-untyped-call]
        return bowl

    for _ in GRADIENTS:
        for weight, optimizer in ((own, built), (theirs, reference)):
            optimizer.step(partial(loss, optimizer, weight))  # type: ignore[arg-type]
    torch.testing.assert_close(own, theirs, rtol=1e-6, atol=1e-7)


def test_every_optimizer_of_the_recipe_has_a_row() -> None:
    assert ROWS.keys() == OPTIMIZERS.keys()


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.Dropout(0.5), nn.BatchNorm2d(4))


def settle(model: nn.Sequential, batches: list[Tensor]) -> None:
    model.eval()
    for layer in batchnorms(model.modules()):
        layer.train()
    assert list(estimate(batchnorms(model.modules()), (lambda b=batch: model(b) for batch in batches))) == list(
        range(1, len(batches) + 1)
    )


def test_the_first_layer_has_mean_and_variance_of_all_pictures_however_they_are_cut() -> None:
    pictures = torch.randn(11, 3, 5, 5) * 3 + 7
    model = network()
    settle(model, [pictures[:4], pictures[4:5], pictures[5:]])
    first = batchnorms(model.modules())[0]
    values = pictures.double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(first.running_mean, values.mean(1).float())
    torch.testing.assert_close(first.running_var, values.var(1).float())


def test_one_batch_of_all_is_what_torch_measures_in_it() -> None:
    pictures = torch.randn(8, 3, 5, 5)
    model = network()
    reference = copy.deepcopy(model)
    for layer in batchnorms(reference.modules()):
        layer.momentum = 1.0
    reference.train()
    reference[2].eval()
    with torch.no_grad():
        reference(pictures)
    settle(model, [pictures])
    for ours, theirs in zip(batchnorms(model.modules()), batchnorms(reference.modules()), strict=True):
        torch.testing.assert_close(ours.running_mean, theirs.running_mean)
        torch.testing.assert_close(ours.running_var, theirs.running_var)


def test_momentum_and_count_of_batches_stay_and_layers_left_out_keep_their_statistics() -> None:
    model = network()
    first, second = batchnorms(model.modules())
    second.eval()
    first.train()
    list(estimate([first], [lambda: model(torch.randn(8, 3, 5, 5) + 5)]))
    assert first.momentum == 0.1
    assert first.num_batches_tracked is not None
    assert first.num_batches_tracked.item() == 0
    assert second.running_mean is not None
    assert second.running_mean.abs().max() == 0
    assert not second._forward_hooks
    assert not first._forward_hooks


def test_statistics_are_the_old_ones_where_it_is_cut_off() -> None:
    model = network()
    first = batchnorms(model.modules())[0]
    first.train()
    work = estimate([first], [lambda: model(torch.randn(8, 3, 5, 5) + 5)] * 2)
    next(work)
    with pytest.raises(KeyError):
        work.throw(KeyError())
    assert first.running_mean is not None
    assert first.running_mean.abs().max() == 0


@pytest.mark.parametrize("name", EVERY)
def test_the_catalogue_knows_the_batchnorms_that_learn(name: str) -> None:
    """The counts of variants ask the catalogue, without torch; the loop measures the very layers that it names."""
    backbone, model = catalogue.get(name), copy.deepcopy(on_meta(name))
    single = [layer.path for layer in backbone.layers if layer.is_batchnorm][:1]
    late = [block.name for block in backbone.blocks[len(backbone.blocks) // 2 :]]
    for trainable, batchnorm in product(("all", late, [*single, "head"]), ("learn", "lagging", "keep")):
        recipe = parse({"data": "photos", "backbone": name, "trainable": trainable, "batchnorm": batchnorm})
        layers = catalogue.select(backbone, recipe.trainable)
        freeze(model, layers)
        learnt = learning(model, backbone, layers, recipe)
        awake = batchnorms(learnt.awake)
        assert learnt.measured == (awake if batchnorm == "learn" else ())
        assert len(measured_batchnorms(recipe)) == len(learnt.measured)
        assert batchnorm != "keep" or not awake
    # With L-BFGS, nothing is in training mode. It takes the head alone, and no head has a BatchNorm.
    assert not any(layer.is_batchnorm for layer in backbone.blocks[-1].layers)
