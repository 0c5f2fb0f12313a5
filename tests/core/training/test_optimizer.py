"""SGD, Adam and AdamW against steps computed from their formulas, on a weight of one number."""

import math

import pytest
import torch
from torch import nn

from core.optimizers import OPTIMIZER, OPTIMIZERS, Adam, AdamW, Optimizer, Sgd
from core.recipe import Penalties
from core.training.objective import terms
from core.training.optimizer import TORCH, build_optimizer
from tests.core.test_optimizers import other_value

GRADIENTS = (0.5, -0.2, 0.1)
START = 1.0


def walk(settings: Optimizer) -> float:
    """Where the weight is after a step with each of GRADIENTS."""
    weight = nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = build_optimizer(settings, [weight])
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


@pytest.mark.parametrize(("penalties", "gradient"), [(Penalties(l1=0.3), -0.3), (Penalties(l2=0.3), 2 * 0.3 * -2.0)])
def test_a_penalty_moves_a_weight_by_its_derivative(penalties: Penalties, gradient: float) -> None:
    """d/dw l1·|w| = l1·sign(w) and d/dw l2·w² = 2·l2·w; the logits do not depend on w here."""
    weight = nn.Parameter(torch.tensor([[-2.0]]))
    optimizer = build_optimizer(Sgd(lr=0.1, momentum=0.0), [weight])
    logits, labels = torch.zeros(1, 2), torch.zeros(1, dtype=torch.long)
    terms(logits, labels, [weight], penalties).loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    assert weight.item() == pytest.approx(-2.0 - 0.1 * gradient)


TORCHS_OWN = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimizer_steps_as_torchs_own(name: str) -> None:
    values = {one.path.split(".")[-1]: other_value(one) for one in OPTIMIZER.settings(name).values()}
    own, theirs = (nn.Parameter(torch.tensor([START, -2.0])) for _ in range(2))
    built = build_optimizer(OPTIMIZERS[name].model_validate(values), [own])
    reference = TORCHS_OWN[name]([theirs], **values)
    for gradient in GRADIENTS:
        for weight, optimizer in ((own, built), (theirs, reference)):
            weight.grad = torch.tensor([gradient, -gradient])
            optimizer.step()
    torch.testing.assert_close(own, theirs, rtol=1e-6, atol=1e-7)


def test_every_optimizer_of_the_recipe_has_a_row() -> None:
    assert TORCH.keys() == OPTIMIZERS.keys()
