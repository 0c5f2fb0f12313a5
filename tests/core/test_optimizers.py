"""Every optimizer of the table, checked, written and read back; every schedule against torch's own, step by step."""

import json
import tomllib
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from core.cli.train import apply
from core.optimizers import (
    OPTIMIZER,
    OPTIMIZERS,
    SCHEDULES,
    Constant,
    Cosine,
    Moment,
    OneCycle,
    Schedule,
    Step,
    stretched,
)
from core.recipe_fields import Setting
from core.recipe_settings import SETTINGS, example_toml, faults, flat_settings, parse, title, to_settings, to_toml

WRONG: dict[str, Any] = {"number": float("nan"), "pair": [0.5], "switch": "yes", "count": 0.5}
"""A value for each kind that no setting of it may have."""

EVERY_SETTING = [(name, setting) for name in OPTIMIZERS for setting in OPTIMIZER.settings(name).values()]
every_optimizer = pytest.mark.parametrize("name", list(OPTIMIZERS))


def other_value(setting: Setting) -> Any:
    """A right value that is not the default."""
    match setting.kind:
        case "number":
            return setting.default / 2
        case "count":
            return setting.default + 1
        case "pair":
            return [0.5, 0.75]
        case "switch":
            return not setting.default
    raise AssertionError(f"no example for {setting.kind}")


@every_optimizer
def test_its_name_alone_is_enough(name: str) -> None:
    optimizer = parse({"data": "photos", "optimizer": {"name": name}}).optimizer
    assert type(optimizer) is OPTIMIZERS[name]
    assert optimizer.name == name
    assert optimizer.lr > 0


@pytest.mark.parametrize(("name", "setting"), EVERY_SETTING, ids=[f"{name}-{one.path}" for name, one in EVERY_SETTING])
def test_a_bad_value_is_named_with_what_would_be_right(name: str, setting: Setting) -> None:
    inner = setting.path.split(".")[-1]
    (fault,) = faults({"data": "photos", "optimizer": {"name": name, inner: WRONG[setting.kind]}})
    assert (fault.field, fault.advice) == (setting.path, setting.expected)
    assert setting.title
    assert setting.help.endswith(".")
    assert title(setting.path) == setting.title


@every_optimizer
def test_it_survives_toml_json_and_the_flat_row(name: str) -> None:
    values = {one.path.split(".")[-1]: other_value(one) for one in OPTIMIZER.settings(name).values()}
    recipe = parse({"data": "photos", "optimizer": {"name": name, **values}})
    assert parse(tomllib.loads(to_toml(recipe))) == recipe
    assert parse(json.loads(json.dumps(to_settings(recipe)))) == recipe
    assert flat_settings(recipe).keys() >= {"optimizer.name", *OPTIMIZER.settings(name)}


@every_optimizer
def test_it_can_be_chosen_on_the_command_line(name: str) -> None:
    settings: dict[str, Any] = {"data": "photos"}
    for change in (f"optimizer.name={name}", "optimizer.lr=0.25"):
        apply(change, settings)
    assert parse(settings).optimizer == OPTIMIZERS[name].model_validate({"lr": 0.25})


@every_optimizer
def test_the_example_and_the_choices_name_it(name: str) -> None:
    assert f'"{name}"' in example_toml()
    assert f'"{name}"' in str(SETTINGS["optimizer.name"].expected)
    choice = SETTINGS["optimizer.name"].choices[name]
    assert choice.label
    assert choice.help in SETTINGS["optimizer.name"].help


@every_optimizer
def test_a_setting_of_no_such_name_is_said(name: str) -> None:
    (fault,) = faults({"data": "photos", "optimizer": {"name": name, "colour": 1}})
    assert fault.field == "optimizer.colour"
    assert "is not a setting; there are name, lr" in str(fault.advice)


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
