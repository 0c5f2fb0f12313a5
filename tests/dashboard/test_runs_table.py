"""The list of runs, found again and saved."""

import io

import pandas as pd
import pytest

from core.jobs.store import Store
from core.recipe import parse
from dashboard.runs.table import Wanted, passes, to_csv
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


def test_places_in_a_queue() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 21, 102, 111)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "102nd", "111th")
    ]
