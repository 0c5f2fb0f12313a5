"""Every term of the objective against values worked out by hand."""

import math

import pytest
import torch
from torch import nn

from core.recipe import Penalties
from core.training.objective import Objective, Tally, balanced_weights, measure, penalised, terms


def test_terms_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    labels = torch.tensor([0, 1])
    weights = [nn.Parameter(torch.tensor([[1.0, -2.0]])), nn.Parameter(torch.tensor([[3.0]]))]
    made = terms(logits, labels, Objective(weights, Penalties(l1=0.1, l2=0.01)))
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
    plain = Objective([], Penalties())
    tally.add(*measure(terms(right, labels, plain), right, labels).read())
    tally.add(*measure(terms(wrong, labels[:1], plain), wrong, labels[:1]).read())
    assert tally.answers == ((0, 0, 3), (0, 1, 1))
    assert tally.images == 4
    assert tally.mean().accuracy == pytest.approx(3 / 4)
    assert tally.mean().cross_entropy == pytest.approx(50 / 4)


def test_balanced_weights_are_the_formula_and_give_each_class_the_same_share() -> None:
    """6 pictures of 3 classes, one of them empty: 6 / (3 · 4) and 6 / (3 · 2)."""
    labels = [0, 0, 0, 0, 2, 2]
    weights = balanced_weights(labels, 3)
    assert weights.tolist() == pytest.approx([0.5, 0.0, 1.0])
    assert sum(weights[label].item() for label in labels[:4]) == sum(weights[label].item() for label in labels[4:])


def test_a_picture_of_a_heavy_class_counts_the_same_in_any_batch() -> None:
    logits, labels = torch.tensor([[1.0, 0.0], [0.0, 0.5]]), torch.tensor([0, 1])
    objective = Objective([], Penalties(), torch.tensor([3.0, 1.0]))
    together = terms(logits, labels, objective).cross_entropy.item()
    alone = [terms(logits[n : n + 1], labels[n : n + 1], objective).cross_entropy.item() for n in (0, 1)]
    assert together == pytest.approx(sum(alone) / 2)
    assert alone[0] == pytest.approx(3 * math.log(1 + math.exp(-1)))


def test_label_smoothing_spreads_its_share_over_all_classes() -> None:
    logits, labels = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    right, wrong = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    smoothed = terms(logits, labels, Objective([], Penalties(), label_smoothing=0.2)).cross_entropy.item()
    assert smoothed == pytest.approx(0.9 * right + 0.1 * wrong)


def test_gradients_come_from_all_terms_but_l1() -> None:
    weight = nn.Parameter(torch.tensor([[-2.0]]))
    made = terms(torch.zeros(1, 2), torch.tensor([0]), Objective([weight], Penalties(l1=0.5, l2=0.25)))
    made.smooth.backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(2 * 0.25 * -2.0)
    assert made.loss.item() == pytest.approx(math.log(2) + 0.5 * 2 + 0.25 * 4)
