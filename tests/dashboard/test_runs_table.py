"""The list of runs, found again and saved."""

import io

import pandas as pd
import pytest

from core.jobs.store import Store
from core.optimizers import OPTIMIZER, OPTIMIZERS
from core.recipe_settings import parse
from dashboard.compare.comparison import settings_table
from dashboard.runs.table import Wanted, passes, to_csv, to_table
from dashboard.text import describe_recipe
from dashboard.train.run_controls import ordinal


@pytest.fixture
def labelled(store: Store) -> int:
    run = store.runs.queue(parse({"data": "photos/cats", "trainable": ["stage7", "head"]}))
    store.runs.annotate(run, name="My Best", note="=1+1", tags=("class 7b",), starred=True)
    return run


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), True),
        (Wanted(words=("cats",)), True),
        (Wanted(words=("best", "7b", "stage7", "queued")), True),
        (Wanted(words=("dogs",)), False),
        (Wanted(states=frozenset({"queued", "running"})), True),
        (Wanted(states=frozenset({"finished"})), False),
        (Wanted(backbones=frozenset({"MobileNetV2"})), True),
        (Wanted(backbones=frozenset({"ResNet-18"})), False),
        (Wanted(starred=True), True),
    ],
)
def test_runs_are_found_by_what_is_known_of_them(store: Store, labelled: int, wanted: Wanted, found: bool) -> None:
    assert passes(store.runs.get(labelled), wanted) is found


def test_the_csv_has_every_setting_and_no_formula(store: Store, labelled: int) -> None:
    table = pd.read_csv(io.BytesIO(to_csv([store.runs.get(labelled)])))
    row = table.iloc[0]
    assert (row["run"], row["name"], row["tags"], row["note"]) == (labelled, "My Best", "class 7b", "'=1+1")
    assert (row["optimizer.lr"], row["trainable"]) == (0.001, "stage7 head")


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimizer_is_listed_saved_and_compared_by_its_label(store: Store, name: str) -> None:
    runs = [
        store.runs.get(store.runs.queue(parse({"data": "photos", "optimizer": {"name": n}}))) for n in (name, "adam")
    ]
    label = OPTIMIZERS[name].label
    assert str(to_table(runs)["Optimizer"][0]).split()[0] == label
    assert f" · {label} " in describe_recipe(runs[0].recipe)
    row = pd.read_csv(io.BytesIO(to_csv(runs))).iloc[0]
    table = settings_table(runs).set_index("Setting")
    for path, setting in OPTIMIZER.settings(name).items():
        assert not pd.isna(row[path])
        assert table.loc[setting.title].iloc[0] != "–"
    assert table.loc["Optimizer"].iloc[0] == name


def test_places_in_a_queue() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 21, 102, 111)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "102nd", "111th")
    ]
