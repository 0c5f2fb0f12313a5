"""Presets: each makes a sound recipe for every kind of network, what stands beside it wins, and it leaves no trace."""

import json

import pytest

from core.__main__ import main
from core.backbones import catalogue
from core.errors import BadRecipe
from core.presets import PRESETS, changed, expand, nearest
from core.recipe_settings import parse, to_settings, to_toml

BACKBONES = ("mobilenet_v2", "squeezenet1_1", "resnet18", "vit_b_16")
every_preset = pytest.mark.parametrize("name", list(PRESETS))


@every_preset
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_preset_is_a_sound_recipe_of_every_backbone(name: str, backbone: str) -> None:
    settings, chosen = expand({"data": "photos", "backbone": backbone, "preset": name})
    recipe = parse(settings)
    assert chosen == name
    assert nearest(recipe) == name
    assert changed(name, recipe) == ()
    assert "preset" not in to_settings(recipe)
    assert "preset" not in to_toml(recipe)
    layers = catalogue.select(catalogue.get(backbone), recipe.trainable)
    blocks = [block for block in catalogue.get(backbone).blocks if layers & {layer.path for layer in block.layers}]
    assert blocks == list(catalogue.get(backbone).blocks[-(PRESETS[name].blocks or 0) :])


@every_preset
def test_what_stands_beside_a_preset_wins_and_is_named(name: str) -> None:
    own = {"epochs": 3, "rates": {"head": 0.5}, "schedule": {"name": "step", "every": 2}}
    recipe = parse(expand({"data": "photos", "preset": name} | own)[0])
    assert (recipe.epochs, recipe.rates.head, recipe.schedule.name) == (3, 0.5, "step")
    assert recipe.rates.late == PRESETS[name].rates["late"]
    assert set(changed(name, recipe)) == {"epochs", "rates.head", "schedule.name"}
    assert nearest(recipe) == name


@every_preset
def test_settings_that_are_no_presets_are_not_named(name: str) -> None:
    own = {"repeats": 3, "folds": 2, "seed": 7, "batch_size": 8, "optimizer": {"name": "sgd"}, "penalties": {"l1": 0.1}}
    assert changed(name, parse(expand({"data": "photos", "preset": name} | own)[0])) == ()


def test_another_row_of_a_table_takes_nothing_of_the_presets_row() -> None:
    recipe = parse(expand({"data": "photos", "preset": "fine_tuning", "schedule": {"warm_up": 2}})[0])
    assert (recipe.schedule.name, recipe.schedule.model_dump()["warm_up"]) == ("cosine", 2)


def test_without_a_preset_nothing_is_added() -> None:
    assert expand({"data": "photos"}) == ({"data": "photos"}, None)


def test_an_unknown_preset_is_named_with_those_there_are() -> None:
    with pytest.raises(BadRecipe, match=r'preset = .*"feature_extraction"'):
        expand({"data": "photos", "preset": "magic"})


def test_the_default_recipe_is_a_short_feature_extraction() -> None:
    assert nearest(parse({"data": "photos"})) == "feature_extraction"
    assert changed("feature_extraction", parse({"data": "photos"})) == ("epochs", "rates.head")


def test_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["presets", "--json"])
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["name"] for one in listed] == list(PRESETS)
    assert all(one["rates"].keys() == {"head", "late", "early"} for one in listed)
