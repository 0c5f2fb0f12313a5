"""The draft has the recipe's own shape, and loses nothing on the way."""

from typing import Any

import pytest

from core.data.split import Draw
from core.optimizers import OPTIMIZER, OPTIMIZERS
from core.recipe_settings import SETTINGS, TABLES, parse
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


@pytest.mark.parametrize(("section", "name"), [(s, name) for s, table in TABLES.items() for name in table.rows])
def test_each_row_of_a_table_keeps_its_own_settings(section: str, name: str) -> None:
    table = TABLES[section]
    path = next(iter(table.settings(name)))
    draft = draft_of(**{section: {"name": name}})
    draft[path] = 0.125
    for row in (*table.rows, name):
        draft[table.name.path] = row
        assert draft.settings()[section]["name"] == row
    assert draft[path] == 0.125


@pytest.mark.parametrize(
    "settings",
    [
        {"test_fraction": 0.125, "keep": "last", "patience": 3, "head_first": 2, "batchnorm": "keep"},
        {"class_weights": "balanced", "label_smoothing": 0.1, "rates": {"late": 0.5, "early": 0}},
        {"split_seed": 0, "init_seed": 7, "repeats": 5, "folds": 4, "fold": 3},
        {"weights": "run:12", "schedule": {"name": "step", "every": 2, "gamma": 0.5, "warm_up": 1.5}},
    ],
)
def test_what_else_a_recipe_has_comes_back_too(settings: dict[str, Any]) -> None:
    recipe = parse({"data": DATA} | settings)
    assert parse(from_recipe(recipe).settings()) == recipe


def test_the_draft_knows_what_decides_the_split() -> None:
    draft = draft_of(seed=3, test_fraction=0.125, folds=4)
    assert draft.draw() == Draw(0.25, 3, 0.125, folds=4, fold=1)
    draft["split_seed"], draft["fold"], draft["epochs"] = 9, 2, "wrong"
    assert draft.draw() == Draw(0.25, 9, 0.125, folds=4, fold=2)


NAMES = {table.name.path for table in TABLES.values()}


@pytest.mark.parametrize("path", [path for path in SETTINGS if path not in {"trainable", *NAMES}])
def test_every_setting_can_be_read_and_set_by_its_path(path: str) -> None:
    draft = draft_of()
    for section, table in TABLES.items():
        if path.startswith(f"{section}."):
            draft[table.name.path] = next(name for name in table.rows if path in table.settings(name))
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
