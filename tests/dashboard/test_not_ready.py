"""Pages that cannot be drawn yet: misspelt settings, and a database that an earlier version of Thaw still works on."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import StoreBusy
from core.jobs.store import Store
from dashboard import services
from tests.dashboard.conftest import APP

PAGES = ("train/page.py", "pictures/page.py", "runs/page.py", "compare/page.py")


def said(test: AppTest) -> str:
    assert not test.exception
    return "\n".join(text.value for text in test.text)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_every_fault_of_the_settings_and_starts_nothing(
    page: str, started: list[int], monkeypatch: pytest.MonkeyPatch, thaw_home: Path
) -> None:
    monkeypatch.setenv("THAW_MAX_FILES", "x")
    monkeypatch.setenv("THAW_WORKERS", "two")
    test = AppTest.from_file(APP, default_timeout=30).run()
    if page != PAGES[0]:
        test = test.switch_page(page).run()
    assert "THAW_MAX_FILES = 'x': must be a whole number above 0, such as 20000" in said(test)
    assert "THAW_WORKERS = 'two': must be a whole number above 0" in said(test)
    assert started == []
    assert not thaw_home.exists()


def test_a_home_that_cannot_be_used_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "file"))
    test = AppTest.from_file(APP, default_timeout=30).run()
    assert "THAW_HOME" in said(test)
    assert "name a folder that can be written" in said(test)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [("foo://", "names no database that can be used"), ("sqlite:///{folder}/words.txt", "file is not a database")],
)
def test_a_database_that_is_none_is_a_sentence(
    address: str, sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text("No database at all. " * 100)
    monkeypatch.setenv("THAW_DATABASE_URL", address.format(folder=tmp_path))
    services.store.clear()
    test = AppTest.from_file(APP, default_timeout=30).run()
    assert sentence in said(test)
    assert not test.button


def test_the_page_waits_for_an_earlier_version_and_is_then_drawn(
    open_page: Callable[..., AppTest], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as busy:

        def refuse() -> Store:
            raise StoreBusy("Run {run} is being trained by an earlier version of Thaw.", run=7)

        busy.setattr(services, "open_store", refuse)
        services.store.clear()
        test = open_page()
        assert "Run 7 is being trained by an earlier version of Thaw." in said(test)
        assert not test.button
    test = test.run()
    assert [button.label for button in test.button if button.key == "train"] == ["Train"]
    assert store.runs.all() == []
