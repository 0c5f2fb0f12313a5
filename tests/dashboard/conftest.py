"""The pages in Streamlit's own test runner, on an empty store, with workers kept from starting."""

from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.jobs.store import Store, open_store

APP = Path(__file__).parents[2] / "dashboard" / "app.py"


@pytest.fixture
def store() -> Store:
    """The store that the pages of this test read."""
    st.cache_resource.clear()
    st.cache_data.clear()
    return open_store()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many workers pages wanted, time after time; none is started, so that a queued run stays queued."""
    wanted: list[int] = []

    def ensure_training(number: int = 1) -> None:
        wanted.append(number)

    monkeypatch.setattr("core.jobs.process.ensure_training", ensure_training)
    monkeypatch.setattr("core.jobs.worker.ensure_training", ensure_training)
    return wanted


@pytest.fixture
def open_page(store: Store, started: list[int]) -> Callable[..., AppTest]:  # noqa: ARG001 - wanted for what they set up
    """Opens the dashboard as a new session: `open_page(run="3")` with that in its address."""

    def opened(**query: str) -> AppTest:
        test = AppTest.from_file(APP, default_timeout=30)
        for name, value in query.items():
            test.query_params[name] = value
        return test.run()

    return opened
