"""Which BatchNorms are measured, and their statistics, against a pass over the whole training set at once."""

import copy
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from core.backbones import catalogue
from core.backbones.build import freeze
from core.recipe_settings import parse
from core.training.batchnorm import estimate
from core.training.learning import learning
from core.training.plan import measured_batchnorms
from tests.core.backbones.networks import EVERY, batchnorms, on_meta


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
