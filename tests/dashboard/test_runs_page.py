"""The list of runs."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from core.events import EpochEnded, Metrics
from core.jobs.store import Store
from core.recipe_settings import parse
from tests.core.jobs.by_number import end


def open_runs(open_page: Callable[..., AppTest]) -> AppTest:
    return open_page().switch_page("runs/page.py").run()


def test_with_no_runs_it_says_what_to_do(open_page: Callable[..., AppTest]) -> None:
    test = open_runs(open_page)
    assert not test.exception
    assert "Nothing has been trained yet" in test.info[0].value


def test_every_run_is_listed_the_newest_first(open_page: Callable[..., AppTest], store: Store) -> None:
    store.runs.queue(parse({"data": "photos"}))
    second = store.runs.queue(parse({"data": "photos", "backbone": "resnet18", "optimizer": {"name": "sgd"}}))
    metrics = Metrics(1.0, 1.0, 0.0, 0.0, 0.75)
    store.runs.append(second, [EpochEnded(1, metrics, metrics, 1.0, 1.0, ((0, 0, 3), (1, 0, 1)), kept=True)])
    end(store, second, "finished", seconds=2.5)
    test = open_runs(open_page)
    assert not test.exception
    table = test.dataframe[0].value
    assert list(table["run"]) == [2, 1]
    assert list(table["Status"]) == ["✔ finished", "○ queued"]
    assert list(table["Backbone"]) == ["ResNet-18", "MobileNetV2"]
    assert list(table["Pictures"]) == ["photos", "photos"]
    assert list(table["Trainable"]) == ["head", "head"]
    assert list(table["Optimizer"]) == ["SGD 0.01", "Adam 0.001"]
    assert (table["Kept epoch"][0], table["accuracy"][0], table["Right"][0]) == (1, 75.0, "3 of 4")
    assert table["interval"][0] == "30 to 95 %"
