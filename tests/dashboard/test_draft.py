"""The draft has the recipe's own shape, and loses nothing on the way."""

from typing import Any

import pytest

from core.optimizers import OPTIMIZER, OPTIMIZERS
from core.recipe_settings import SETTINGS, parse
from dashboard.draft import Draft, from_recipe
from tests.core.test_optimizers import other_value

DATA = "/photos"


def draft_of(**settings: Any) -> Draft:
    return from_recipe(parse({"data": DATA} | settings))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"image_size": 64, "val_fraction": 0.5, "seed": 2**53 - 1, "weights": "random"},
        {"trainable": "all"},
        {"trainable": ["head", "stage7"], "penalties": {"l1": 0.5, "l2": 0.25}},
        {"augment": "flip", "views": 0, "device": "cpu", "precision": "bf16"},
    ],
)
def test_a_recipe_comes_back_from_its_draft(settings: dict[str, Any]) -> None:
    recipe = parse({"data": DATA} | settings)
    back = parse(from_recipe(recipe).settings())
    assert set(back.trainable) == set(recipe.trainable)
    assert back.model_copy(update={"trainable": recipe.trainable}) == recipe


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimizer_comes_back_from_its_draft(name: str) -> None:
    values = {one.path.split(".")[-1]: other_value(one) for one in OPTIMIZER.settings(name).values()}
    recipe = parse({"data": DATA, "optimizer": {"name": name} | values})
    assert parse(from_recipe(recipe).settings()) == recipe


def test_each_optimizer_keeps_its_own_settings() -> None:
    draft = draft_of(optimizer={"name": "sgd", "lr": 0.5, "nesterov": True})
    for name in (*OPTIMIZERS, "sgd"):
        draft["optimizer.name"] = name
        assert parse(draft.settings()).optimizer.name == name
    assert (draft["optimizer.lr"], draft["optimizer.nesterov"]) == (0.5, True)


@pytest.mark.parametrize("path", [path for path in SETTINGS if path not in ("trainable", "optimizer.name")])
def test_every_setting_can_be_read_and_set_by_its_path(path: str) -> None:
    name = next(name for name in OPTIMIZERS if path in OPTIMIZER.settings(name) or not path.startswith("optimizer."))
    draft = draft_of(optimizer={"name": name})
    expected = DATA if path == "data" else SETTINGS[path].default
    assert draft[path] == (list(expected) if isinstance(expected, tuple) else expected)
    draft[path] = "wrong"  # What is wrong stays in the draft until somebody mends it.
    assert draft[path] == "wrong"


def test_a_number_of_a_pair_has_a_path_of_its_own() -> None:
    draft = draft_of()
    draft["optimizer.betas.1"] = 0.5
    assert parse(draft.settings()).optimizer.model_dump()["betas"] == (0.9, 0.5)


def test_what_is_handed_out_does_not_change_with_the_draft() -> None:
    draft = draft_of()
    before = draft.settings()
    draft["optimizer.lr"] = 7.0
    assert before["optimizer"]["lr"] == 0.001


def test_misspelt_settings_are_no_attributes() -> None:
    draft = draft_of()
    with pytest.raises(AttributeError):
        draft.epochs = 3  # type: ignore[attr-defined]
