"""The results of a run: what its tabs are, which one the address names, and what they show."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core import home
from core.errors import BadData
from core.jobs.job import Run, provenance
from core.jobs.worker import ensure_progress
from core.presets import nearest
from core.results.answers import Evaluation
from dashboard import picture_sets
from dashboard.results.answer_grid import ADDRESS, OPENED, pictures_now
from dashboard.results.confusion import show_confusion
from dashboard.results.doubts import show_doubts
from dashboard.results.evaluations import evaluation_of
from dashboard.results.mistakes import show_mistakes
from dashboard.results.more_pictures import show_more_pictures
from dashboard.results.movement import show_movement
from dashboard.results.picture_map import show_map
from dashboard.results.replay import show_replay
from dashboard.results.take_home import show_take_home
from dashboard.results.try_it import show_try_it
from dashboard.results.two_runs import show_two_runs
from dashboard.services import store
from dashboard.text import say

CURVES = "curves"


@dataclass(frozen=True)
class Tab:
    """A tab, and what it shows of a run that is no family; `of_training` where that needs the training pictures."""

    label: str
    icon: str
    show: Callable[[Run], None]
    of_training: bool = False


def _of_answers(show: Callable[[Run, Evaluation], None]) -> Callable[[Run], None]:
    """What shows something of a run's answers to its validation pictures, once they are there."""

    def shown(run: Run) -> None:
        if evaluation := evaluation_of(run):
            _offer_training(run, evaluation)
            show(run, evaluation)

    return shown


TABS = {
    "mistakes": Tab("Mistakes", "image_search", _of_answers(show_mistakes)),
    "confusion": Tab("Confusion", "grid_on", _of_answers(show_confusion)),
    "two": Tab("Two runs", "compare_arrows", _of_answers(show_two_runs)),
    "try": Tab("Try it", "photo_camera", _of_answers(show_try_it)),
    "home": Tab("Take it home", "download", show_take_home),
    "moved": Tab("What moved", "open_with", show_movement),
    "map": Tab("Map", "scatter_plot", show_map, of_training=True),
    "hurt": Tab("Pictures that hurt", "flag", show_doubts, of_training=True),
    "replay": Tab("Replay", "movie", show_replay),
    "more": Tab("More pictures?", "trending_up", show_more_pictures, of_training=True),
}
"""By the word of the address."""


def choose_tab(run: Run) -> str:
    """The tab of a run that is to be shown, one of TABS or CURVES, and the row in which people choose it."""
    first = run.first
    if first.live or not first.kept_epoch or not home.weights_file(first.id).is_file():
        return CURVES
    named = st.query_params.get(ADDRESS, CURVES)
    labels = {CURVES: ":material/show_chart: Curves"} | {
        name: f":material/{tab.icon}: {tab.label}" for name, tab in TABS.items()
    }
    # The address is the default, and not put into the session's state: a script that runs again before the browser has
    # heard of that would lose it.
    chosen = st.segmented_control(
        "What to see of the run",
        list(labels),
        default=named if named in labels else CURVES,
        format_func=labels.__getitem__,
        required=True,
        key=f"tab-{run.id}-{st.session_state.get(OPENED, 0)}",
        label_visibility="collapsed",
    )
    if chosen is None or chosen == CURVES:
        st.query_params.pop(ADDRESS, None)
        return CURVES
    st.query_params[ADDRESS] = chosen
    return chosen


def show_tab(name: str, run: Run) -> None:
    """A tab's contents; of a family, its first run's."""
    if run.is_family:
        st.caption(f"Of the family's first run, run {run.first.id}.")
    tab = TABS[name]
    try:
        if tab.of_training:
            run.first.demand_training_pictures()
        tab.show(run.first)
    except BadData as error:
        say("notice", str(error))


def _offer_training(run: Run, evaluation: Evaluation) -> None:
    """Once pictures were mended, a button that trains the same recipe on them as they are now."""
    count = 0 if run.is_opened else _changes(run, evaluation)
    if not count:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if st.button("Train again", type="primary", icon=":material/play_arrow:", key=f"retrain-{run.id}"):
            recipe = run.recipe.model_copy(update={"data": str(picture_sets.changed_form(Path(run.recipe.data)))})
            st.query_params.from_dict({"run": str(store().runs.queue(recipe, provenance(recipe, nearest(recipe))))})
            ensure_progress(store())
            st.rerun()
        st.text(f"{count} mended: the pictures of this run are not the same any more. Its figures stay.")


def _changes(run: Run, evaluation: Evaluation) -> int:
    """How many of the pictures were left out, or put into another class, since."""
    now = pictures_now(run)
    labels = [now[one.path].label if one.path in now else None for one in evaluation.answers]
    return sum(label != evaluation.classes[one.label] for label, one in zip(labels, evaluation.answers, strict=True))
