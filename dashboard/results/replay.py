"""A run that went too fast to watch plays again, from what the store knows of it."""

import time
from dataclasses import replace

import streamlit as st

from core.jobs.job import Run
from dashboard import charts, run_history
from dashboard.components.live_chart import live_chart
from dashboard.run_history import RunHistory
from dashboard.services import store

SPEEDS = (1, 2, 5, 10, 20, 50)
"""Epochs of the replay in a second."""
REFRESH = 0.25
"""Seconds between two pictures of it."""
HEIGHT = 270
"""Of each chart, in pixels."""
WAITING = "Press Play."
EXPLAINED = "The run as it was recorded, at so many epochs a second. Nothing is trained."


def show_replay(run: Run) -> None:
    """Both curves up to where the replay is, with a slider, a pause and the speed."""
    history = run_history.read_history(store(), run.id)
    if not history.epochs:
        st.info("No epoch of this run has ended, so there is nothing to play.", icon=":material/movie:")
        return
    playing = st.session_state.get(_key(run, "since")) is not None
    st.fragment(_played, run_every=REFRESH if playing else None)(run, history)


def _key(run: Run, name: str) -> str:
    return f"replay-{name}-{run.id}"


def _played(run: Run, history: RunHistory) -> None:
    last = float(history.epochs[-1].epoch)
    at, since = _key(run, "at"), _key(run, "since")
    speed = st.session_state.get(_key(run, "speed"), SPEEDS[1])
    st.session_state.setdefault(at, 0.0)
    if (began := st.session_state.get(since)) is not None:
        now = time.monotonic()
        st.session_state[at] = min(last, st.session_state[at] + speed * (now - began))
        st.session_state[since] = now if st.session_state[at] < last else None
        if st.session_state[at] >= last:
            st.rerun()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        playing = st.session_state.get(since) is not None
        label, icon = ("Pause", "pause") if playing else ("Play", "play_arrow")
        if st.button(label, icon=f":material/{icon}:", key=_key(run, "button")):
            _press(run, playing, last)
            st.rerun()
        st.select_slider("Epochs a second", SPEEDS, value=SPEEDS[1], key=_key(run, "speed"), width=220)
        st.slider("Epoch", 0.0, last, step=0.1, key=at)
    shown = upto(history, st.session_state[at])
    left, right = st.columns(2)
    with left:
        live_chart(charts.loss_chart(shown, run.recipe.epochs), key=_key(run, "loss"), height=HEIGHT, waiting=WAITING)
    with right:
        live_chart(
            charts.accuracy_chart(shown, run.recipe.epochs), key=_key(run, "accuracy"), height=HEIGHT, waiting=WAITING
        )
    st.caption(EXPLAINED)


def _press(run: Run, playing: bool, last: float) -> None:
    """Pause, or play on; from the beginning, where it is at the end."""
    at = _key(run, "at")
    if not playing and st.session_state[at] >= last:
        del st.session_state[at]
    st.session_state[_key(run, "since")] = None if playing else time.monotonic()


def upto(history: RunHistory, position: float) -> RunHistory:
    """What the run had said when it was at `position`, on an axis of epochs."""
    epochs = tuple(epoch for epoch in history.epochs if epoch.epoch <= position)
    return replace(history, epochs=epochs, steps=history.steps[history.positions <= position])
