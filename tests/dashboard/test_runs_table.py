"""The list of runs, found again and saved."""

import io

import pandas as pd
import pytest

from core import events
from core.events import EpochEnded, Metrics
from core.figures import Score
from core.jobs.job import Provenance
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


def test_the_csv_has_counts_intervals_and_the_test_and_the_table_no_test(store: Store) -> None:
    measured = Metrics(1.0, 1.0, 0.0, 0.0, 0.75)
    val, test = ((0, 0, 3), (1, 0, 1)), ((0, 0, 1), (1, 1, 1))
    run = store.runs.queue(parse({"data": "photos"}), Provenance("fine_tuning", ("epochs", "optimizer.lr")))
    ended = EpochEnded(1, measured, measured, 1.0, 1.0, val, zeros=0.25, kept=True)
    store.runs.append(run, [ended, events.KeptTested(1, measured, test)])
    runs = [store.runs.get(run), store.runs.get(store.runs.queue(parse({"data": "photos"})))]
    table = pd.read_csv(io.BytesIO(to_csv(runs)))
    row, empty = table.iloc[0], table.iloc[1]
    assert (row["kept_epoch"], row["val_right"], row["val_images"], row["val_accuracy"]) == (1, 3, 4, 0.75)
    assert (row["val_interval_low"], row["val_interval_high"]) == pytest.approx(Score(3, 4).interval)
    assert (row["balanced_accuracy"], row["zeros"]) == (0.5, 0.25)
    assert (row["test_right"], row["test_images"], row["test_epoch"], row["test_looks"]) == (2, 2, 1, 1)
    assert (row["preset"], row["changed_by_hand"]) == ("fine_tuning", "epochs optimizer.lr")
    assert empty[["kept_epoch", "val_right", "val_accuracy", "test_right", "preset"]].isna().all()
    shown = to_table(runs)
    assert [column for column in shown if "test" in column.lower()] == []
    assert shown["Right"][0] == "3 of 4"
    assert pd.isna(shown["Right"][1])


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


def test_a_family_has_a_line_with_mean_and_range_above_those_of_its_runs(store: Store) -> None:
    assert "Family" not in to_table([store.runs.get(store.runs.queue(parse({"data": "photos"})))])
    family = store.runs.queue(parse({"data": "photos", "folds": 2}))
    measured = Metrics(1.0, 1.0, 0.0, 0.0, 0.75)
    for child, right in ((family + 1, 3), (family + 2, 2)):
        counts = ((0, 0, right), (1, 0, 4 - right))
        store.runs.append(child, [EpochEnded(1, measured, measured, 1.0, 1.0, counts, kept=True)])
    table = to_table(store.runs.all())
    assert list(table["Family"][:3]) == ["2 runs", f"of run {family}", f"of run {family}"]
    line = table.iloc[0]
    assert (line["run"], line["accuracy"], line["Right"]) == (family, 62.5, "mean 62.5 %, 50 to 75 % of 2 runs")
    assert line["interval"] == str(Score(5, 8).between())
    row, child, *_ = pd.read_csv(io.BytesIO(to_csv(store.runs.all()))).to_dict("records")
    assert (row["runs"], row["val_mean"], row["val_low"], row["val_high"]) == (2, 0.625, 0.5, 0.75)
    assert (row["val_right"], row["val_images"], child["family"]) == (5, 8, family)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"repeats": 5}, "5 repeats"),
        ({"folds": 4}, "4 folds"),
        ({"folds": 4, "fold": 3}, "fold 3 of 4"),
        ({"init_seed": 2}, "weights by seed 2"),
    ],
)
def test_a_description_says_what_makes_a_family_and_which_of_it_a_run_is(
    settings: dict[str, object], words: str
) -> None:
    assert words in describe_recipe(parse({"data": "photos"} | settings))
