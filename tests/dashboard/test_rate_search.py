"""The search for a learning rate beside its setting: asked for, followed, and taken over."""

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core import home
from core.jobs.drive import drive
from core.jobs.job import Job
from core.jobs.process import process_id
from core.jobs.store import Store
from core.messages import Message
from dashboard.text import JOINER
from tests.conftest import MakeFolder

OpenPage = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def no_light_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests do the work themselves."""
    monkeypatch.setattr("core.jobs.worker.ensure_light", lambda *_: None)


def captions_of(page: AppTest) -> str:
    return "\n".join(caption.value for caption in page.caption).replace(f"{JOINER}", "").replace("\\", "")


def searches(store: Store) -> list[Job]:
    return store.jobs.live(kinds=["rates"])


def find(page: AppTest) -> AppTest:
    return page.button(key="find rate").click().run()


def claimed(store: Store) -> Job:
    job = store.jobs.claim(process_id(), "light", home.installation_id(), ["rates"])
    assert job is not None
    return job


def finish(store: Store, result: dict[str, Any]) -> None:
    store.jobs.end(claimed(store).id, "finished", process_id(), seconds=1.0, result=result)


def found(rate: float | None) -> dict[str, Any]:
    sentence = Message("Start from {rate}.", rate=rate or "*nowhere*")
    return {"rates": [1.0], "losses": [1.0], "suggested": rate, "sentence": sentence.to_json()}


def test_a_rate_is_found_and_used(open_page: OpenPage, store: Store) -> None:
    test = open_page()
    assert not test.button(key="find rate").disabled
    assert searches(store) == []
    find(test)
    (job,) = searches(store)
    assert test.button(key=f"cancel-{job.id}").label == "Cancel"
    finish(store, found(0.004))
    test.run()
    assert "Start from 0.004." in captions_of(test)
    assert test.button(key="use rate").label == "Use 0.004"
    test.button(key="use rate").click().run()
    assert test.number_input(key="draft.optimizer.lr").value == 0.004
    assert "Start from 0.004." in captions_of(test)
    assert "use rate" not in {button.key for button in test.button}
    assert searches(store) == []
    test.button(key="train").click().run()
    assert store.runs.all()[0].recipe.optimizer.lr == 0.004
    assert not test.exception


def test_other_settings_want_another_search_and_old_ones_come_back(open_page: OpenPage, store: Store) -> None:
    test = find(open_page())
    finish(store, found(0.004))
    test.number_input(key="draft.epochs").set_value(3).run()
    assert "Start from 0.004." in captions_of(test)
    test.number_input(key="draft.batch_size").set_value(16).run()
    assert "Start from" not in captions_of(test)
    assert searches(store) == []
    test.number_input(key="draft.batch_size").set_value(32).run()
    assert "Start from 0.004." in captions_of(test)


def test_where_none_is_proposed_there_is_nothing_to_use_and_text_stays_text(open_page: OpenPage, store: Store) -> None:
    test = find(open_page())
    finish(store, found(None))
    test.run()
    assert "Start from *nowhere*." in captions_of(test)
    assert "use rate" not in {button.key for button in test.button}


def test_a_search_that_failed_is_said(open_page: OpenPage, store: Store) -> None:
    test = find(open_page())
    store.jobs.end(claimed(store).id, "failed", process_id(), seconds=1.0, message=Message("The disk is full."))
    test.run()
    assert "The disk is full." in [text.value for text in test.text]
    test.button(key="again-rates").click().run()
    assert len(searches(store)) == 1


def test_the_button_is_off_where_there_is_no_search(open_page: OpenPage) -> None:
    test = open_page()
    test.session_state["draft"]["optimizer.name"] = "lbfgs"
    test.run()
    button = test.button(key="find rate")
    assert button.disabled
    assert "L-BFGS finds the length of its steps by itself" in button.help
    test.session_state["draft"]["optimizer.name"] = "adam"
    test.session_state["draft"]["epochs"] = 0
    test.run()
    assert test.button(key="find rate").disabled
    assert "mended" in test.button(key="find rate").help


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_what_the_page_asks_for_is_carried_out(
    open_page: OpenPage, store: Store, make_folder: MakeFolder, optimizer: str
) -> None:
    test = open_page()
    draft = test.session_state["draft"]
    draft["data"], draft["image_size"], draft["batch_size"] = str(make_folder(a=8, b=8)), 32, 4
    draft["optimizer.name"] = optimizer
    find(test.run())
    list(drive(store, claimed(store)))
    test.run()
    assert "Start from a learning rate of " in captions_of(test)
    assert test.button(key="use rate").label.startswith("Use ")
