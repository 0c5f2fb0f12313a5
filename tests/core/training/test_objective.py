"""Every term of the objective against values worked out by hand."""

import math

import pytest
import torch
from torch import nn

from core.recipe import Penalties
from core.training.objective import Tally, measure, penalised, terms


def test_terms_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    labels = torch.tensor([0, 1])
    weights = [torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0]])]
    made = terms(logits, labels, weights, Penalties(l1=0.1, l2=0.01))
    cross_entropy = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    assert made.cross_entropy.item() == pytest.approx(cross_entropy)
    assert made.l1.item() == pytest.approx(0.1 * (1 + 2 + 3))
    assert made.l2.item() == pytest.approx(0.01 * (1 + 4 + 9))
    assert made.loss.item() == pytest.approx(cross_entropy + 0.6 + 0.14)


def test_penalties_leave_out_biases_normalisation_and_frozen_weights() -> None:
    model = nn.ModuleDict(
        {
            "frozen": nn.Conv2d(3, 4, 1),
            "conv": nn.Conv2d(4, 4, 1),
            "batch": nn.BatchNorm2d(4),
            "layer": nn.LayerNorm(4),
            "attention": nn.MultiheadAttention(4, 1),
            "head": nn.Linear(4, 2),
        }
    )
    model["frozen"].requires_grad_(False)
    chosen = {id(parameter) for parameter in penalised(model)}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in chosen}
    assert names == {"conv.weight", "attention.in_proj_weight", "attention.out_proj.weight", "head.weight"}


def test_means_weigh_by_images_not_by_batches() -> None:
    tally = Tally()
    labels = torch.tensor([0, 0, 0])
    right, wrong = torch.tensor([[50.0, 0.0]] * 3), torch.tensor([[0.0, 50.0]])
    tally.add(measure(terms(right, labels, [], Penalties()), right, labels), 3)
    tally.add(measure(terms(wrong, labels[:1], [], Penalties()), wrong, labels[:1]), 1)
    assert tally.images == 4
    assert tally.mean().accuracy == pytest.approx(3 / 4)
    assert tally.mean().cross_entropy == pytest.approx(50 / 4)
