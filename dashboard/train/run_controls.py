"""What can be asked of a run in its present state: pause, stop, go on, another place in the queue."""

from collections.abc import Callable

import streamlit as st

from core.errors import ThawError
from core.jobs.job import Run
from core.jobs.worker import ensure_progress
from dashboard.services import store
from dashboard.text import say


def show_controls(run: Run) -> None:
    """The buttons, in a row that is as wide as the place it gets."""
    with st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        if run.is_opened:
            st.caption("Out of a bundle: to be looked at, not trained further.")
            return
        match run.status:
            case "running":
                _running(run)
            case "queued":
                _queued(run)
            case "finished":
                _finished(run)
            case _:
                _ended_early(run)


def in_queue(run: Run) -> str:
    """Where a queued run stands: "next in the queue", "3rd in the queue"."""
    _, place = _waiting(run)
    return f"{ordinal(place + 1)} in the queue" if place else "next in the queue"


def _waiting(run: Run) -> tuple[int, int]:
    """How many wait, a family as one, and the place of `run` among them, from 0; 0 too of one that no longer waits."""
    waiting = store().runs.waiting()
    own = [number for number in waiting if number in [one.id for one in run.members]]
    return len(waiting) - len(own) + bool(own), waiting.index(own[0]) if own else 0


def ordinal(number: int) -> str:
    """1 → "1st", 12 → "12th"."""
    teen = 10 <= number % 100 <= 20
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _running(run: Run) -> None:
    asked = run.job.request
    explained = "Lays the run aside after the current batch; the next in the queue has its turn."
    _button(
        run, "Pausing …" if asked == "pause" else "Pause", "pause_circle", store().runs.request_pause, explained, asked
    )
    explained = "Ends after the current batch and keeps what was learnt."
    _button(
        run, "Stopping …" if asked == "stop" else "Stop", "stop_circle", store().runs.request_stop, explained, asked
    )


def _queued(run: Run) -> None:
    count, place = _waiting(run)
    if count > 1:
        first, last = place == 0, place == count - 1
        _button(run, "Earlier", "arrow_upward", lambda number: store().runs.move(number, place - 1), disabled=first)
        _button(run, "Later", "arrow_downward", lambda number: store().runs.move(number, place + 1), disabled=last)
    _button(run, "Cancel", "cancel", store().runs.request_stop, "Takes the run out of the queue.")


def _button(
    run: Run, label: str, icon: str, ask: Callable[[int], None], help: str | None = None, disabled: object = False
) -> None:
    """A button that asks something of the store about this run."""
    key = f"{icon}-{run.id}"
    if st.button(label, icon=f":material/{icon}:", help=help, disabled=bool(disabled), key=key):
        ask(run.id)
        st.rerun()


def _ended_early(run: Run) -> None:
    if st.button(
        "Resume",
        icon=":material/play_circle:",
        help="Goes on from where the run was, as if it had never been interrupted.",
        key=f"resume-{run.id}",
    ):
        _resume(run, run.recipe.epochs)


def _finished(run: Run) -> None:
    with st.popover("Continue", icon=":material/play_circle:", help="Trains the same run for more epochs."):
        more = st.number_input(
            "More epochs", min_value=1, max_value=10_000, value=run.recipe.epochs, key=f"more-{run.id}"
        )
        if st.button("Continue", type="primary", key=f"continue-{run.id}"):
            _resume(run, run.recipe.epochs + more)


def _resume(run: Run, epochs: int) -> None:
    try:
        store().runs.resume(run.id, epochs)
    except ThawError as error:  # Somebody else was faster, or it would be too many epochs.
        say("error", str(error))
        return
    ensure_progress(store())
    st.rerun()
