"""Handles on things outside the page, one for all sessions."""

import gc
import threading

import streamlit as st

from core.runs import home
from core.runs.store import Store

COLLECT_EVERY = 60.0
"""Seconds between two garbage collections of the server process."""


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The store of runs."""
    return Store(home.database_url())


@st.cache_resource(show_spinner=False)
def collect_garbage_now_and_then() -> threading.Thread:
    """Collect in the background: `.streamlit/config.toml` tells Streamlit not to after every single script run."""

    def collect() -> None:
        while not threading.Event().wait(COLLECT_EVERY):
            gc.collect()

    thread = threading.Thread(target=collect, name="garbage collection", daemon=True)
    thread.start()
    return thread
