"""Pictures with what a run said of them, as cards: what each was taken for, how sure, and what can be mended."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from core.data import datasets
from core.data.scan import Picture, scan
from core.errors import BadData
from core.jobs.job import Run
from core.results.answers import Answer, Evaluation
from dashboard import picture_sets
from dashboard.text import plain

ADDRESS = "view"
"""The word of the address that names the tab."""
OPENED = "tabs opened"
"""How often a tab was opened from within another one: each time the row of tabs begins anew, from the address."""
SIDE = 176
"""Pixels of a picture's side."""
WIDTH = 146
"""Of a card in pixels: two lie side by side on a phone."""
AT_ONCE = 18
"""Cards that are shown before somebody asks for more."""
LIKELY, NAMED = 0.005, 3
"""The least probability that is named, and how many are."""


def show_answers(run: Run, evaluation: Evaluation, answers: Sequence[Answer], key: str) -> None:
    """The cards of `answers`, in their order; `key` tells this list from others of the page."""
    shown = st.session_state.get(f"{key}-shown", AT_ONCE)
    now = pictures_now(run)
    with st.container(horizontal=True, gap="small"):
        for answer in answers[:shown]:
            with st.container(width=WIDTH):
                _card(run, evaluation, answer, now.get(answer.path), f"{key}-{answer.path}")
    if shown < len(answers) and st.button(f"Show more, of {len(answers):,}", key=f"{key}-more"):
        st.session_state[f"{key}-shown"] = shown + 4 * AT_ONCE
        st.rerun()


def _card(run: Run, evaluation: Evaluation, answer: Answer, now: Picture | None, key: str) -> None:
    said, own = (evaluation.classes[label] for label in (answer.said, answer.label))
    st.image(picture_sets.thumbnail_url(answer.path, SIDE), width="stretch")
    taken = said if answer.is_right else f"{own}, taken for {said}"
    st.text(f"{taken}, {answer.confidence:.0%}")
    st.caption(plain(_others(evaluation, answer)))
    st.button(
        "Where it looked",
        icon=":material/visibility:",
        key=f"look-{key}",
        type="tertiary",
        on_click=_open_try_it,
        args=(answer.path,),
    )
    if run.is_opened:
        return
    if now is None or now.label != own:
        st.caption("Left out since." if now is None else f"Put into {plain(now.label)} since.")
        if _small_button("Undo", "undo", f"undo-{key}"):
            _undo(run, answer, own)
        return
    offer_mending(run, now, None if answer.is_right else said, key)


def offer_mending(run: Run, picture: Picture, other: str | None, key: str) -> None:
    """Buttons that put a picture into the `other` class, if there is one, or leave it out of the person's own set."""
    data = Path(run.recipe.data)
    if other and _small_button(f"It is {plain(other)}", "label", f"relabel-{key}"):
        datasets.relabel(picture_sets.own_of(data), [picture.file], other)
        st.rerun()
    if _small_button("Leave out", "block", f"out-{key}"):
        datasets.leave_out(picture_sets.own_of(data), [picture.file])
        st.rerun()


def _open_try_it(picture: Path) -> None:
    """Show the tab in which the picture is asked about."""
    st.session_state[OPENED] = st.session_state.get(OPENED, 0) + 1
    st.query_params[ADDRESS] = "try"
    st.query_params["picture"] = str(picture)


def _small_button(label: str, icon: str, key: str) -> bool:
    return st.button(label, icon=f":material/{icon}:", key=key, type="tertiary")


def _others(evaluation: Evaluation, answer: Answer) -> str:
    """The other classes that it may be."""
    ranked = sorted(enumerate(answer.shares), key=lambda pair: -pair[1])
    named = [(label, share) for label, share in ranked if label != answer.said and share >= LIKELY][: NAMED - 1]
    return ", ".join(f"{evaluation.classes[label]} {share:.0%}" for label, share in named) or "nothing else likely"


def _undo(run: Run, answer: Answer, label: str) -> None:
    own = picture_sets.own_of(Path(run.recipe.data))
    known = scan(own)
    files = [one.file for one in (*known.pictures, *known.removed) if one.path == answer.path]
    datasets.bring_back(own, files)
    datasets.relabel(own, files, label)
    st.rerun()


def pictures_now(run: Run) -> dict[Path, Picture]:
    """The pictures of a run as they are now, after people's changes, by their path; none where they are gone."""
    try:
        return {picture.path: picture for picture in scan(picture_sets.changed_form(Path(run.recipe.data))).pictures}
    except (BadData, OSError):
        return {}
