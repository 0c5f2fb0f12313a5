"""Handles on things outside the page, one for all sessions."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import streamlit as st

from core.backbones.pretrained import own_file, own_run
from core.errors import BadData, BadRecipe, Fault, StoreBusy, ThawError
from core.home import thaw_home
from core.jobs.family import from_anywhere
from core.jobs.store import Store, open_store
from core.messages import Message
from core.recipe import Recipe
from core.training.plan import check
from dashboard.picture_sets import require_allowed
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


Checked = tuple[Recipe | None, tuple[Fault, ...], Message | None]


def checked(settings: dict[str, Any]) -> Checked:
    """The recipe, or its faults; and a sentence where it starts from another run than was said.

    No file outside the folders that the page may use is looked for.
    """
    weights = settings["weights"]
    places = {"data": Path(settings["data"]), "weights": None if own_run(weights) else own_file(weights)}
    for field, path in places.items():
        try:
            if path is not None:
                require_allowed(path)
        except BadData as error:
            return None, (Fault(field, settings[field], error.message),), None
    weights, said = from_anywhere(weights, store().runs.get)
    try:
        return check(settings | {"weights": weights}), (), said
    except BadRecipe as error:
        return None, error.faults, said


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
