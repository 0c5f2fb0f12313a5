"""Every optimizer of the table: what can be told of it, checked, written and read back."""

import json
import tomllib
from typing import Any

import pytest

from core.cli.train import apply
from core.optimizers import OPTIMIZER, OPTIMIZERS
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
