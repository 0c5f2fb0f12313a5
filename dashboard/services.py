"""Handles on things outside the page, one for all sessions."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import streamlit as st

from core.errors import StoreBusy, ThawError
from core.home import thaw_home
from core.jobs.store import Store, open_store
from dashboard.text import say

COLLECT_EVERY = 60.0
"""Seconds between two garbage collections of the server process."""
LOOK_EVERY = 2.0
"""Seconds between two looks for a database that an earlier version of Thaw still works on."""


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The store of runs."""
    return open_store()


def is_ready() -> bool:
    """Whether pages can be drawn. If not, the page says why, and is drawn as soon as they can be.

    Raises BadSettings with everything that is wrong with the environment, and StoreUnavailable.
    """
    thaw_home()
    try:
        store()
    except StoreBusy as busy:
        say("notice", str(busy))
        st.fragment(_wait_for_store, run_every=LOOK_EVERY)()
        return False
    return True


def _wait_for_store() -> None:
    with suppress(StoreBusy):
        store()
        st.rerun()


@contextmanager
def saying_trouble() -> Iterator[None]:
    """Say on the page what is wrong; a part that refreshes itself tries again by itself."""
    try:
        yield
    except ThawError as error:
        say("error", str(error))


@st.cache_resource(show_spinner=False)
def collect_garbage_now_and_then() -> threading.Thread:
    """Collect in the background: `.streamlit/config.toml` tells Streamlit not to after every single script run."""

    def collect() -> None:
        while not threading.Event().wait(COLLECT_EVERY):
            gc.collect()

    thread = threading.Thread(target=collect, name="garbage collection", daemon=True)
    thread.start()
    return thread
