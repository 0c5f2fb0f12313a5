"""The comparison, opened by its address."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from core.events import EpochEnded, Metrics
from core.jobs.store import Store
from core.recipe_settings import parse
from tests.core.jobs.by_number import end


def open_compare(open_page: Callable[..., AppTest], runs: str) -> AppTest:
    test = open_page(runs=runs)
    return test.switch_page("compare/page.py").run()


def finished(store: Store, **settings: object) -> int:
    run = store.runs.queue(parse({"data": "photos"} | settings))
    confusion = ((0, 0, 3), (1, 0, 1))
    ended = EpochEnded(1, Metrics(1, 1, 0, 0, 0.5), Metrics(1, 1, 0, 0, 0.75), 1.0, 1.0, confusion, kept=True)
    store.runs.append(run, [ended])
    end(store, run, "finished", seconds=1.0)
    return run


def test_with_fewer_than_two_runs_it_says_what_to_do(open_page: Callable[..., AppTest]) -> None:
    test = open_compare(open_page, "")
    assert not test.exception
    assert "Choose two to eight runs" in test.info[0].value


def test_the_address_names_the_runs(open_page: Callable[..., AppTest], store: Store) -> None:
    first, second = finished(store), finished(store, epochs=3)
    test = open_compare(open_page, f"{second},{first},99,nonsense")
    assert not test.exception
    assert test.multiselect[0].value == [second, first]
    results, settings = (table.value for table in test.dataframe)
    assert list(results["Run"]) == [second, first]
    assert list(results["Right"]) == ["3 of 4", "3 of 4"]
    assert list(settings["Setting"]) == ["Epochs"]
    assert any("cannot be told apart" in text.value for text in test.text)
    assert any("There is no run 99 any more" in text.value for text in test.text)


def test_the_selection_can_be_changed_again_and_again(open_page: Callable[..., AppTest], store: Store) -> None:
    runs = [finished(store) for _ in range(4)]
    test = open_compare(open_page, f"{runs[0]},{runs[1]}")
    for count in (3, 4):
        test.multiselect[0].set_value(runs[:count]).run()
        assert not test.exception
        assert test.multiselect[0].value == runs[:count]
        assert list(test.dataframe[0].value["Run"]) == runs[:count]
