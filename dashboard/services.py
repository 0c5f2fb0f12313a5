"""Handles on things outside the page, one for all sessions."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core.errors import ThawError
from core.jobs.store import Store, open_store
from dashboard.text import say

COLLECT_EVERY = 60.0
"""Seconds between two garbage collections of the server process."""


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The store of runs."""
    return open_store()


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
