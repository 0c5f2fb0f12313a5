"""Every tab of a run's results, in Streamlit's own test runner; the jobs behind it are carried out here beforehand."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import BaseModel

from core.jobs import results
from core.jobs.drive import drive
from core.jobs.job import Job, Kind, Run
from core.jobs.kinds import request
from core.jobs.picture_kinds import SHORTCUTS, DataArguments
from core.jobs.process import process_id
from core.jobs.run_kinds import ASK, DOUBTS, EVALUATE, EXPORT, MAP, MORE, AskArguments, ExportArguments, RunArguments
from core.jobs.store import Store
from core.results.answers import Evaluation
from core.results.export.formats import FORMATS
from core.training.plan import pictures_question
from dashboard.results.more_pictures import curve
from dashboard.results.picture_map import points
from dashboard.results.replay import upto
from dashboard.results.tabs import TABS
from dashboard.results.try_it import likeliest, lit, verdict
from dashboard.run_history import read_history
from tests.conftest import MakeFolder, small_recipe
from tests.dashboard.test_train_page import OpenPage, text_of


def carried_out(store: Store, kind: Kind[Any], given: BaseModel) -> dict[str, Any]:
    job = request(store, kind, given, process_id())
    if job.live:
        list(drive(store, job))
    ended = store.jobs.get(job.id)
    assert isinstance(ended, Job)
    found = results.read(ended)
    assert found is not None, ended.message
    return dict(found)


@pytest.fixture
def run(store: Store, make_folder: MakeFolder) -> Run:
    """A finished run, and the answers to all that its tabs ask."""
    recipe = small_recipe(make_folder(a=12, b=8), trainable=["layer4", "head"])
    started = store.runs.start(recipe, process_id())
    list(drive(store, started.job))
    number = RunArguments(run=started.id)
    evaluation = Evaluation.from_json(carried_out(store, EVALUATE, number))
    first = [*evaluation.mistakes(), *evaluation.narrow()][0].path
    for kind, given in (
        (MAP, number),
        (ASK, AskArguments(run=started.id, picture=first)),
        (DOUBTS, pictures_question(recipe)),
        (MORE, pictures_question(recipe)),
        (SHORTCUTS, DataArguments(data=Path(recipe.data))),
    ):
        carried_out(store, kind, given)
    return store.runs.get(started.id)


SAID = {
    "mistakes": "",
    "confusion": "Rows are what the pictures are",
    "two": "There is no other run on these pictures yet",
    "try": "Where it looked",
    "home": "On the command line",
    "moved": "What is frozen does not move at all",
    "map": "Each point is a picture",
    "hurt": "pictures that look most like another class",
    "replay": "The run as it was recorded",
    "more": "The band holds 8 of 10 draws",
}


def test_every_tab_has_a_sentence_here() -> None:
    assert set(SAID) == set(TABS)


@pytest.mark.parametrize("view", SAID)
def test_a_tab_shows_what_it_is_for(open_page: OpenPage, run: Run, view: str) -> None:
    page = open_page(run=str(run.id), view=view)
    assert not page.exception
    shown = text_of(page) + " ".join(one.value for one in page.caption) + " ".join(one.value for one in page.info)
    assert SAID[view] in shown.replace("\\", "").replace("\N{WORD JOINER}", "")
    assert page.query_params.get("view") in (view, [view])


def test_each_format_has_a_button_and_what_is_made_is_offered(open_page: OpenPage, store: Store, run: Run) -> None:
    page = open_page(run=str(run.id), view="home")
    assert [one.label for one in page.button if one.key and one.key.endswith("-ask")] == ["Prepare"] * len(FORMATS)
    job = request(store, EXPORT, ExportArguments(run=run.id, to="recipe"), process_id())
    list(drive(store, job))
    page.session_state[f"export-{run.id}-recipe"] = job.id
    page.run()
    assert not page.exception
    assert len([one for one in page.button if one.key and one.key.endswith("-ask")]) == len(FORMATS) - 1


def test_from_a_picture_to_where_it_looked(open_page: OpenPage, run: Run) -> None:
    page = open_page(run=str(run.id), view="mistakes")
    page.session_state[f"mistakes-kind-{run.id}"] = "Right, but unsure"
    page.run()
    looks = [one for one in page.button if one.key and one.key.startswith("look-")]
    looks[0].click().run()
    assert not page.exception
    assert "Where it looked, for" in " ".join(one.value for one in page.caption).replace("\N{WORD JOINER}", "")


def test_a_replay_plays_pauses_and_ends(open_page: OpenPage, run: Run) -> None:
    page = open_page(run=str(run.id), view="replay")
    page.button(key=f"replay-button-{run.id}").click().run()
    assert page.button(key=f"replay-button-{run.id}").label == "Pause"
    page.button(key=f"replay-button-{run.id}").click().run()
    assert page.button(key=f"replay-button-{run.id}").label == "Play"
    page.slider(key=f"replay-at-{run.id}").set_value(1.0).run()
    assert not page.exception


def test_a_replay_knows_what_had_been_said_by_then(store: Store, run: Run) -> None:
    history = read_history(store, run.id)
    half = upto(history, 1.5)
    assert [epoch.epoch for epoch in half.epochs] == [1]
    assert half.last_step == history.started.steps_per_epoch * 3 // 2  # type: ignore[union-attr]
    assert (upto(history, 0.0).epochs, upto(history, 2.0).epochs) == ((), history.epochs)


FOUND = {"classes": ["a", "b"], "shares": [0.2, 0.8], "rarity": 0.04, "label": 1}


@pytest.mark.parametrize(
    ("rarity", "alarms", "words"),
    [(0.04, 0.05, "I don't know: "), (0.05, 0.05, "b, 80%"), (None, 0.3, "b, 80%"), (0.0, 0.0, "b, 80%")],
)
def test_what_is_unlike_all_that_is_known_is_said(rarity: float | None, alarms: float, words: str) -> None:
    assert verdict(FOUND | {"rarity": rarity}, alarms).startswith(words)
    assert likeliest(FOUND) == [("b", 0.8), ("a", 0.2)]


def test_where_it_looked_is_bright_and_the_rest_dark(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), (200, 100, 50)).save(tmp_path / "square.png")
    (tmp_path / "lit.png").write_bytes(lit(tmp_path / "square.png", [[1.0, 0.0], [0.0, 0.0]]))
    with Image.open(tmp_path / "lit.png") as shown:
        assert shown.size == (40, 40)
        assert shown.getpixel((0, 0)) == (200, 100, 50)
        assert max(shown.getpixel((39, 39))) < 60  # type: ignore[type-var]


def test_mistakes_are_ringed_and_held_out_pictures_are_diamonds() -> None:
    found = {
        "classes": ["a", "<b>"],
        "paths": ["1.png", "2.png", "3.png"],
        "labels": [0, 0, 1],
        "said": [0, 1, 1],
        "held_out": [False, True, False],
        "before": [[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]],
    }
    first, second = points(found, "before", "Before")["data"]
    assert first["marker"]["line"]["width"] == [0, 2.5]
    assert first["marker"]["symbol"] == ["circle", "diamond"]
    assert first["text"] == ["1.png: a", "2.png: a, taken for &lt;b&gt;"]
    assert second["name"] == "&lt;b&gt;"


def test_the_learning_curve_has_a_band_and_a_look_ahead() -> None:
    point = {"per_class": 2, "mean": 0.5, "low": 0.4, "high": 0.6}
    found = {"points": [point, point | {"per_class": 5}], "next": point | {"per_class": 10}}
    band, line, ahead = curve(found)["data"]
    assert band["x"] == [2, 5, 5, 2]
    assert line["x"] == [2, 5]
    assert ahead["x"] == [5, 10, 10, 5]
    assert len(curve(found | {"next": None})["data"]) == 2
