"""Schedules against torch's own, step by step, and the sentence about a run that goes on."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from core.schedules import SCHEDULES, Constant, Cosine, Moment, OneCycle, Schedule, Step, stretched

STEPS, EPOCHS = 4, 6
TOTAL = STEPS * EPOCHS


def ours(schedule: Schedule) -> list[float]:
    return [schedule.factor(Moment(step, STEPS, EPOCHS)) for step in range(TOTAL)]


def torchs(build: Callable[[torch.optim.Optimizer], LRScheduler]) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    scheduler = build(optimizer)
    rates = []
    for _ in range(TOTAL):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler.step()
    return rates


def warmed(optimizer: torch.optim.Optimizer, after: LRScheduler, steps: int) -> LRScheduler:
    up = lr_scheduler.LinearLR(optimizer, start_factor=1 / steps, total_iters=steps - 1)
    return lr_scheduler.SequentialLR(optimizer, [up, after], milestones=[steps])


CASES: dict[str, tuple[Schedule, Callable[[torch.optim.Optimizer], LRScheduler]]] = {
    "constant": (Constant(), lambda o: lr_scheduler.LambdaLR(o, lambda _: 1.0)),
    "step": (Step(every=2, gamma=0.5), lambda o: lr_scheduler.StepLR(o, 2 * STEPS, 0.5)),
    "cosine": (Cosine(), lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL)),
    "cosine after a warm-up": (
        Cosine(warm_up=2),
        lambda o: warmed(o, lr_scheduler.CosineAnnealingLR(o, TOTAL - 2 * STEPS), 2 * STEPS),
    ),
    "one_cycle": (
        OneCycle(),
        lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=TOTAL, cycle_momentum=False),
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_every_step_has_torchs_rate(case: str) -> None:
    schedule, build = CASES[case]
    assert ours(schedule) == pytest.approx(torchs(build), abs=1e-6)


def test_every_schedule_is_compared() -> None:
    assert {type(schedule) for schedule, _ in CASES.values()} == set(SCHEDULES.values())


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (1, 2), (3, 1), (2, 100)])
def test_factors_lie_between_0_and_1_in_the_shortest_runs_too(name: str, steps: int, epochs: int) -> None:
    schedule = SCHEDULES[name]()
    factors = [schedule.factor(Moment(step, steps, epochs)) for step in range(steps * epochs)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert max(factors) > 0


def test_a_warm_up_rises_to_the_full_rate() -> None:
    assert ours(Constant(warm_up=1))[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_more_epochs_stretch_what_depends_on_their_number() -> None:
    assert stretched(Constant(), 10, 20) is None
    assert stretched(Step(), 10, 20) is None
    assert stretched(Cosine(), 10, 10) is None
    assert "goes on at 50% of its full value, and not at 0%" in str(stretched(Cosine(), 10, 20))
