"""Work about pictures as it goes on: bars, a way to cancel, and what came of it."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from core.jobs import task
from dashboard import draft
from dashboard.text import plain, say

REFRESH = 0.5
"""Seconds between two looks."""
IMPORTS = ("archive", "files", "known")


def follow(name: str) -> None:
    """Watch an import that was started here, also after a reload."""
    st.query_params["task"] = name


def show_imports() -> None:
    """The import that this page follows, and those that others have started; a finished one is chosen."""
    own = st.query_params.get("task")
    names = [name for kind in IMPORTS for name in task.going_on(kind)]
    names += [own] if own and own.isalnum() and own not in names else []
    if names:
        st.fragment(_imports, run_every=REFRESH)(names, own)


def _imports(names: list[str], own: str | None) -> None:
    for name in names:
        state = task.state(name)
        if state.phase == "working":
            _bar(name, state)
            continue
        if name != own:
            st.rerun()
        _ended(name, state)


def _ended(name: str, state: task.State) -> None:
    del st.query_params["task"]
    task.forget(name)
    if state.phase == "done" and state.result:
        choose_dataset(state.result["data"])
    else:
        st.session_state["import told"] = state.message or "The import was cancelled; nothing is left of it."
    st.rerun()


def choose_dataset(data: str) -> None:
    """Choose what has just come in."""
    draft.current()["data"] = data
    st.session_state["import told"] = None


def show_last_failure() -> None:
    """How the last import ended, if it did not end well."""
    if message := st.session_state.get("import told"):
        with st.container(horizontal=True, vertical_alignment="center"):
            say("error", message)
            if st.button("Dismiss", key="dismiss"):
                st.session_state["import told"] = None
                st.rerun()


def _bar(name: str, state: task.State) -> None:
    bar, button = st.columns([5, 1], vertical_alignment="center")
    share = min(state.done / state.total, 1.0) if state.total else 0.0
    amount = f" · {share:.0%}" if state.total > 1 else " …"
    bar.progress(share, f"{plain(state.stage)}{amount}")
    if button.button("Cancel", icon=":material/cancel:", key=f"cancel-{name}", width="stretch"):
        task.cancel(name)


def result(name: str, kind: str, by_itself: bool, ask: str, arguments: Callable[[], dict[str, Any]]) -> Any:
    """What the task of that name returned; None, with a bar or a button or a sentence on the page, until it has.

    It is started `by_itself`, or by a button that says `ask`.
    """
    if not task.is_known(name):
        if not by_itself and not st.button(ask, icon=":material/search:", key=f"ask-{kind}"):
            return None
        task.start(task.new(name), kind, **arguments())
    state = task.state(name)
    if state.phase == "working":
        st.fragment(_waiting, run_every=REFRESH)(name)
        return None
    if state.phase != "done":
        say("error", state.message or "Cancelled.")
        if st.button("Try again", icon=":material/replay:", key=f"again-{kind}"):
            task.forget(name)
            st.rerun()
        return None
    return state.result


def _waiting(name: str) -> None:
    state = task.state(name)
    if state.phase != "working":
        st.rerun()
    _bar(name, state)
