"""A recipe is right, or says everything that is wrong with it."""

import json
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

from core.errors import BadRecipe
from core.optimizers import Adam, Sgd
from core.recipe import Recipe
from core.recipe_settings import (
    GROUPS,
    SETTINGS,
    TABLES,
    example_toml,
    faults,
    flat_settings,
    parse,
    read_toml,
    to_settings,
    to_toml,
)
from core.training.checkpoint import OLD_SETTINGS

NAN, INFINITE = float("nan"), float("inf")

BAD_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"optimizer": {"lr": NAN}}, "optimizer.lr", "finite number above 0"),
    ({"optimizer": {"lr": INFINITE}}, "optimizer.lr", "finite number above 0"),
    ({"optimizer": {"lr": 0}}, "optimizer.lr", "finite number above 0"),
    ({"optimizer": {"lr": -0.1}}, "optimizer.lr", "finite number above 0"),
    ({"optimizer": {"lr": "0.1"}}, "optimizer.lr", "finite number above 0"),
    ({"optimizer": {"lr": True}}, "optimizer.lr", "finite number above 0"),
    ({"optimizer": {"name": "sgd", "momentum": 1}}, "optimizer.momentum", "not including, 1"),
    ({"optimizer": {"name": "sgd", "momentum": -0.1}}, "optimizer.momentum", "not including, 1"),
    ({"optimizer": {"name": "sgd", "momentum": 0, "nesterov": True}}, "optimizer.nesterov", "momentum above 0"),
    ({"optimizer": {"name": "sgd", "betas": [0.9, 0.99]}}, "optimizer.betas", "is not a setting; there are name, lr"),
    ({"optimizer": {"name": "adam", "momentun": 0.9}}, "optimizer.momentun", "is not a setting"),
    ({"optimizer": {"betas": [0.9, 1]}}, "optimizer.betas", "two numbers"),
    ({"optimizer": {"betas": [0.9]}}, "optimizer.betas", "two numbers"),
    ({"optimizer": {"eps": 0}}, "optimizer.eps", "above 0"),
    ({"optimizer": {"name": "rmsprop"}}, "optimizer.name", '"adam", "sgd", "adamw" or "lbfgs"'),
    ({"optimizer": 3}, "optimizer", "table"),
    ({"penalties": {"l1": NAN}}, "penalties.l1", "0 or more"),
    ({"penalties": {"l2": -1e-9}}, "penalties.l2", "0 or more"),
    ({"penalties": {"l2": INFINITE}}, "penalties.l2", "0 or more"),
    ({"epochs": 0}, "epochs", "from 1 to 10,000"),
    ({"epochs": 10**9}, "epochs", "from 1 to 10,000"),
    ({"epochs": 2.0}, "epochs", "whole number"),
    ({"epoch": 3}, "epoch", "did you mean epochs?"),
    ({"batch_size": 0}, "batch_size", "from 1 to 4,096"),
    ({"val_fraction": 1}, "val_fraction", "below 1"),
    ({"val_fraction": 0}, "val_fraction", "above 0"),
    ({"trainable": []}, "trainable", "at least one block"),
    ({"trainable": "head"}, "trainable", '"all" or a list'),
    ({"weights": "imagenet"}, "weights", '"pretrained", "random", a run such as "run:12", or the path of a file'),
    ({"image_size": 9}, "image_size", "from 10 to 1024"),
    ({"seed": -1}, "seed", "from 0"),
    ({"device": "tpu"}, "device", '"auto", "cpu"'),
    ({"precision": "fp16"}, "precision", '"auto", "fp32" or "bf16"'),
    ({"augment": "mirror"}, "augment", '"none", "flip" or "standard"'),
    ({"views": -1}, "views", "from 0 to 64"),
    ({"version": 3}, "version", "must be 2, or 1 for the form before it"),
    ({"data": ""}, "data", "one folder of pictures per class"),
]


@pytest.mark.parametrize(
    ("settings", "field", "advice"), BAD_FIELDS, ids=[f"{field}-{n}" for n, (_, field, _) in enumerate(BAD_FIELDS)]
)
def test_a_bad_field_is_named_with_what_would_be_right(settings: dict[str, Any], field: str, advice: str) -> None:
    (fault,) = faults({"data": "photos"} | settings)
    assert fault.field == field
    assert advice in str(fault.advice)


def test_the_value_found_is_part_of_the_sentence() -> None:
    (fault,) = faults({"data": "photos", "optimizer": {"lr": -0.1}})
    assert str(fault) == "optimizer.lr = -0.1: must be a finite number above 0, such as 0.001"


def test_all_faults_are_listed_at_once() -> None:
    settings = {"epochs": 0, "penalties": {"l1": -1, "l2": NAN}, "optimizer": {"name": "sgd", "lr": 0, "momentum": 2}}
    with pytest.raises(BadRecipe) as caught:
        parse(settings)
    fields = {fault.field for fault in caught.value.faults}
    assert fields == {"data", "epochs", "penalties.l1", "penalties.l2", "optimizer.lr", "optimizer.momentum"}


def test_defaults() -> None:
    recipe = parse({"data": "photos"})
    assert (recipe.version, recipe.val_fraction, recipe.backbone, recipe.weights) == (
        2,
        0.25,
        "mobilenet_v2",
        "pretrained",
    )
    assert (recipe.trainable, recipe.image_size, recipe.epochs, recipe.batch_size) == (("head",), None, 10, 32)
    assert (recipe.seed, recipe.device) == (0, "auto")
    assert recipe.optimizer == Adam(lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    assert (recipe.penalties.l1, recipe.penalties.l2) == (0, 0)


def test_sgd_has_a_learning_rate_of_its_own() -> None:
    assert parse({"data": "photos", "optimizer": {"name": "sgd"}}).optimizer == Sgd(
        lr=1e-2, momentum=0.9, nesterov=False
    )


def test_a_recipe_survives_toml_and_json(tmp_path: Path) -> None:
    recipe = parse(
        {
            "data": "Bilder/Füchse",
            "trainable": ["head", "layer4.1"],
            "image_size": 128,
            "optimizer": {"name": "sgd", "lr": 1e-30, "nesterov": True},
            "penalties": {"l2": 1e-4},
        }
    )
    file = tmp_path / "recipe.toml"
    file.write_text(to_toml(recipe), encoding="utf-8")
    assert parse(read_toml(file)) == recipe
    assert parse(json.loads(json.dumps(to_settings(recipe)))) == recipe


def test_a_recipe_cannot_be_changed() -> None:
    recipe = parse({"data": "photos"})
    with pytest.raises(ValueError, match="frozen"):
        recipe.epochs = 3


def test_a_file_that_is_missing_or_not_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRecipe, match=r"nowhere\.toml.*cannot be read"):
        read_toml(tmp_path / "nowhere.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("epochs = \nseed = 1\n", encoding="utf-8")
    with pytest.raises(BadRecipe, match=r"broken\.toml.*is not a TOML file.*line 1"):
        read_toml(broken)


def test_every_setting_is_described() -> None:
    for setting in SETTINGS.values():
        assert setting.title
        assert setting.help.endswith(".")
        assert str(setting.expected).startswith("must be ")
    assert SETTINGS.keys() >= flat_settings(parse({"data": "photos", "image_size": 64})).keys()
    assert {path for path in SETTINGS if "." not in path} == Recipe.model_fields.keys() - {*TABLES, *GROUPS}
    for section, group in GROUPS.items():
        assert SETTINGS.keys() >= {f"{section}.{name}" for name in group.model_fields}


def test_a_default_is_within_its_own_bounds() -> None:
    assert (
        faults(
            {
                "data": "photos",
                **{p: one.default for p, one in SETTINGS.items() if one.default is not None and "." not in p},
            }
        )
        == ()
    )


def test_the_readme_has_the_example_and_the_example_has_the_defaults() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert textwrap.indent(example_toml(), "    ") in readme
    assert parse(tomllib.loads(example_toml())) == parse({"data": "sample_data/stamps"})


def test_settings_of_before_are_written_in_the_order_in_which_they_always_were() -> None:
    """A run that was paused before remembers a digest of this very text."""
    written = to_settings(parse({"data": "photos"}))
    old = {name: value for name, value in written.items() if name in OLD_SETTINGS} | {"version": 1}
    assert json.dumps(old) == (
        '{"version": 1, "data": "photos", "val_fraction": 0.25, "backbone": "mobilenet_v2", "weights": "pretrained", '
        '"trainable": ["head"], "epochs": 10, "batch_size": 32, "seed": 0, "device": "auto", "precision": "auto", '
        '"augment": "none", "views": 8, "optimizer": {"name": "adam", "lr": 0.001, "betas": [0.9, 0.999], '
        '"eps": 1e-08}, "penalties": {"l1": 0.0, "l2": 0.0}}'
    )
    assert json.dumps(to_settings(parse({"data": "photos", "optimizer": {"name": "sgd"}}))["optimizer"]) == (
        '{"name": "sgd", "lr": 0.01, "momentum": 0.9, "nesterov": false}'
    )


def test_a_recipe_of_version_1_means_what_it_meant() -> None:
    old = parse({"version": 1, "data": "photos"})
    assert (old.version, old.batchnorm) == (2, "lagging")
    assert parse({"version": 1, "data": "photos", "batchnorm": "keep"}).batchnorm == "keep"
    assert parse({"data": "photos"}).batchnorm == "learn"


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"trainable": ["conv", "head"]}, "trainable"),
        ({"augment": "flip"}, "augment"),
        ({"penalties": {"l1": 0.1}}, "penalties.l1"),
        ({"schedule": {"name": "cosine"}}, "schedule.name"),
        ({"schedule": {"warm_up": 1}}, "schedule.name"),
        ({"head_first": 2}, "head_first"),
    ],
)
def test_the_exact_head_takes_nothing_that_has_no_one_optimum(settings: dict[str, Any], field: str) -> None:
    exact = {"data": "photos", "optimizer": {"name": "lbfgs"}}
    assert faults(exact) == ()
    assert [fault.field for fault in faults(exact | settings)] == [field]
    assert "L-BFGS" in str(faults(exact | settings)[0])


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"fold": 3, "folds": 2}, "fold"),
        ({"val_fraction": 0.6, "test_fraction": 0.4}, "test_fraction"),
        ({"batchnorm": "keep", "weights": "random"}, "batchnorm"),
    ],
)
def test_settings_that_do_not_go_together_are_named(settings: dict[str, Any], field: str) -> None:
    assert [fault.field for fault in faults({"data": "photos"} | settings)] == [field]
