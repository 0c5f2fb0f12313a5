"""A BatchNorm merged into its convolution changes nothing but the time that it takes."""

import pytest
import torch
from torch import Tensor, nn

from core.backbones import catalogue
from core.backbones.build import build
from core.backbones.cut import cut
from core.backbones.fold import Merged, fold, fold_in_training
from tests.core.backbones.networks import batchnorms

SIZES = {"inception_v3": 80, "googlenet": 64, "mobilenet_v2": 64, "densenet121": 64, "regnet_y_400mf": 64}


def network(name: str) -> nn.Module:
    """In 64 bits and in eval mode, its BatchNorms as if they had learnt something."""
    torch.manual_seed(0)
    model = build(catalogue.get(name), 5, "random").double().eval()
    for norm in batchnorms(model.modules()):
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            assert tensor is not None
            tensor.detach().uniform_(0.5, 1.5)
    return model


@pytest.mark.parametrize("name", ["mobilenet_v2", "densenet121"])
def test_folding_changes_neither_the_answers_nor_the_network(name: str) -> None:
    model = network(name).requires_grad_(False)
    model.get_submodule(catalogue.get(name).head.path).requires_grad_(True)
    found = cut(model.float(), 64)
    assert found is not None
    images = torch.randn(3, 3, 64, 64)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with torch.inference_mode():
        expected = found.prefix(images)
        folded = fold(found.prefix)
        torch.testing.assert_close(folded(images), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.prefix(images), expected, rtol=0, atol=0)
    assert len(batchnorms(folded.modules())) < len(batchnorms(found.prefix.modules()))
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_merged_in_training_answers_and_gradients_are_those_of_the_network(name: str, size: int) -> None:
    model = network(name)
    images = torch.randn(2, 3, size, size, dtype=torch.float64)

    def answers_and_gradients(form: nn.Module) -> tuple[Tensor, list[Tensor]]:
        answers: Tensor = form(images)
        return answers, list(torch.autograd.grad(answers.square().sum(), list(model.parameters())))

    expected = answers_and_gradients(model)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    merged = fold_in_training(model, batchnorms(model.modules()))
    torch.testing.assert_close(answers_and_gradients(merged), expected, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert any(isinstance(part, Merged) for part in merged.modules())


def test_a_batchnorm_that_learns_statistics_is_left_as_it_is() -> None:
    model = network("mobilenet_v2")
    still = batchnorms(model.modules())[:-1]
    awake = batchnorms(model.modules())[-1].train()
    assert awake.running_mean is not None
    merged = fold_in_training(model, still)
    before = awake.running_mean.clone()
    merged(torch.randn(2, 3, 64, 64, dtype=torch.float64))
    assert not torch.equal(awake.running_mean, before)
    assert sum(isinstance(part, Merged) for part in merged.modules()) == len(still)


def test_a_network_without_such_batchnorms_is_itself() -> None:
    model = network("mobilenet_v2")
    assert fold_in_training(model, ()) is model
