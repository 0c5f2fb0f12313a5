"""A run as it goes: status, progress, curves. Everything comes from the store, so any number of browsers can look."""

import time

import streamlit as st

from core.errors import UnknownRun
from core.events import EpochEnded, FeaturesReady, RunStarted
from core.figures import few_images, looked_at, moved_in_words
from core.jobs.family import figures
from core.jobs.job import Run
from core.jobs.worker import ensure_progress
from core.messages import percent
from dashboard import charts, run_history
from dashboard.components.live_chart import live_chart
from dashboard.results import tabs
from dashboard.run_history import RunHistory
from dashboard.services import saying_trouble, store
from dashboard.text import describe_recipe, duration, plain, say
from dashboard.train import run_controls

REFRESH = (0.5, 1.0, 2.0, 4.0)
"""Seconds between two looks at the store: a long run is looked at less often, since drawing takes from training."""
ENOUGH = 2.0
"""Seconds of steps after which the time that is left can be estimated."""
LOOKS = 20
"""About how many looks a run should get at the least."""
CHART_HEIGHT = 270
"""In pixels."""
ENDINGS = {"paused": "Paused", "finished": "Finished", "stopped": "Stopped", "failed": "Failed"}
PRECISIONS = {"fp32": "32 bits", "tf32": "32 bits (multiplied as TF32)", "bf16": "bfloat16"}
DEVICES = {"cpu": "the CPU", "cuda": "the GPU", "mps": "the GPU"}


def show_run(run_id: int) -> None:
    """The run of that number, refreshed for as long as it is live."""
    try:
        run = store().runs.get(run_id)
    except UnknownRun as error:
        say("error", str(error))
        st.page_link("runs/page.py", label="All runs", icon=":material/history:")
        return
    said = _history(run)
    refresh = _refresh(run, said)
    tab = tabs.choose_tab(run)
    if tab == tabs.CURVES:
        st.fragment(_view, run_every=refresh)(run_id, refresh)
        return
    _headline(run)
    _progress(run, said)
    tabs.show_tab(tab, run)


def _refresh(run: Run, said: RunHistory) -> float | None:
    """Seconds between two looks; None for a run of which nothing is to come unless somebody here asks for it."""
    if run.status == "paused":  # Another browser may resume it.
        return REFRESH[-1]
    return pace(said) if run.live else None


def pace(said: RunHistory) -> float:
    """Seconds between two looks at a live run: the longest of REFRESH that lets it have LOOKS of them."""
    if not (said.started and said.epochs):
        return REFRESH[0]
    expected = said.started.epochs * said.seconds_per_epoch
    return max((seconds for seconds in REFRESH if seconds * LOOKS <= expected), default=REFRESH[0])


@saying_trouble()
def _view(run_id: int, refresh: float | None) -> None:
    ensure_progress(store())
    try:
        run = store().runs.get(run_id)
    except UnknownRun:
        st.rerun()  # Somebody has deleted it meanwhile; the whole page says so.
    said = _history(run)
    _headline(run)
    _progress(run, said)
    few = few_images(said.started.val_images) if said.started else None
    for notice in (*said.notices, *([few] if few else [])):
        say("notice", str(notice))
    if run.job.message:
        say("error", str(run.job.message))
    if run.live or said.started:
        _charts(run_id, said, run.recipe.epochs)
    if said.started:
        st.caption(charts.RUNNING_MEANS)
        for sentence in results_in_words(run, said):
            st.text(sentence)
        st.caption(in_words(said.features, said.started, said.epochs))
    if refresh != _refresh(run, said):
        st.rerun()  # Draws the page once more, with another timer or without one.


def show_place(sentence: str, epochs: int) -> None:
    """Where the curves of so many epochs will grow: empty axes, with a sentence on them.

    They let the browser load plotly while the person looks around: with the first run it would take a core from
    training, for seconds.
    """
    _charts("none", RunHistory(), epochs, sentence)


def _charts(run: int | str, said: RunHistory, epochs: int, waiting: str = "The first point appears here.") -> None:
    left, right = st.columns(2)
    with left:
        live_chart(charts.loss_chart(said, epochs), key=f"loss-{run}", height=CHART_HEIGHT, waiting=waiting)
    with right:
        live_chart(charts.accuracy_chart(said, epochs), key=f"accuracy-{run}", height=CHART_HEIGHT, waiting=waiting)


def _history(run: Run) -> RunHistory:
    """What this session has read of the run already, and what has come since; the mean over a family."""
    run_id = run.id
    if run.is_family:
        return run_history.outline_of(store(), run)
    known = st.session_state.get("history")
    said = run_history.read_history(store(), run_id, known[1] if known and known[0] == run_id else None)
    st.session_state["history"] = (run_id, said)
    if said.last_step and st.session_state.get("first look", (0,))[0] != run_id:
        st.session_state["first look"] = (run_id, time.monotonic(), said.last_step)
    return said


def _headline(run: Run) -> None:
    title, buttons = st.columns([5, 3], vertical_alignment="center")
    title.markdown(f"**Run {run.id}** · {plain(describe_recipe(run.recipe))}")
    with buttons:
        run_controls.show_controls(run)
    if run.name or run.note:
        st.text(" – ".join(filter(None, (run.name, run.note))))
    _relatives(run)


def _relatives(run: Run) -> None:
    """The way to a family's runs, and from them to their family."""
    relatives = {
        child.id: f"Run {child.id}" + (f" · {percent(child.val.share)}" if child.val else "") for child in run.children
    }
    if run.parent:
        relatives = {run.parent: f"One of the family of run {run.parent}"}
    if not relatives:
        return
    with st.container(horizontal=True, gap="small"):
        for number, label in relatives.items():
            if st.button(label, type="tertiary", key=f"open-{number}"):
                st.query_params["run"] = str(number)
                st.rerun()


def _progress(run: Run, said: RunHistory) -> None:
    """One bar for the whole life of a run, and one line that says where it is."""
    if run.status == "queued":
        loading = "Loading PyTorch: the first run takes some seconds …"
        st.progress(0.0, f"Waiting: {run_controls.in_queue(run)}" if store().runs.all("running") else loading)
    elif run.is_family:
        st.progress(sum(not child.live for child in run.children) / max(len(run.children), 1), family_line(run))
    elif run.job.progress and not said.started:
        st.progress(run.job.progress.done / max(run.job.progress.total, 1), plain(str(run.job.progress.stage)))
    elif said.started is None and run.live:
        st.progress(0.0, "Loading pictures and weights …")
    elif said.started:
        st.progress(_share(run, said, said.started), _line(run, said, said.started))
    else:
        st.markdown(f"**{ENDINGS[run.status]}** before training began")


def family_line(run: Run) -> str:
    """Where a family is, and what its runs came to so far."""
    ended = sum(not child.live for child in run.children)
    parts = [f"**{ENDINGS.get(run.status, 'Training')}**", f"{ended} of {len(run.children)} runs have ended"]
    if said := figures(run):
        parts.append(f"validation **{said}**")
    if run.job.seconds is not None:
        parts.append(duration(run.job.seconds))
    return " · ".join(parts)


def _share(run: Run, said: RunHistory, started: RunStarted) -> float:
    if run.status == "finished":
        return 1.0
    return min(said.last_step / (started.epochs * started.steps_per_epoch), 1.0)


def _line(run: Run, said: RunHistory, started: RunStarted) -> str:
    parts = [f"**{ENDINGS.get(run.status, 'Training')}**", f"epoch {_epoch(said)} of {started.epochs}"]
    if run.kept_epoch:
        parts.append(f"kept: epoch {run.kept_epoch}")
    if run.val:
        parts.append(f"validation **{run.val.in_full()}**")
    if run.live and (left := _seconds_left(run, said, started)) is not None:
        parts.append(f"about {duration(left)} left")
    if run.job.seconds is not None:
        parts.append(duration(run.job.seconds))
    return " · ".join(parts)


def _epoch(said: RunHistory) -> int:
    return int(said.column("epoch")[-1]) if said.last_step else 1


def results_in_words(run: Run, said: RunHistory) -> list[str]:
    """How the curves read, what a test said of the kept weights, and how far they are from where they began."""
    test, kept = run.test, said.epoch(run.kept_epoch)
    sentences = [
        None if run.live else run_history.reading(said.epochs),
        looked_at(test.score, test.epoch, test.looks) if test else None,
        moved_in_words(kept.moved, kept.zeros) if kept else None,
    ]
    words = [str(sentence) for sentence in sentences if sentence]
    return [sentence[0].upper() + sentence[1:] for sentence in words]


def in_words(features: FeaturesReady | None, started: RunStarted, epochs: tuple[EpochEnded, ...]) -> str:
    """How fast the run goes and on what, and what running the frozen part once has brought.

    The saving is an estimate from the time that one pass through the frozen part took.
    """
    spent = sum(epoch.seconds for epoch in epochs)
    device = DEVICES.get(started.device, started.device)
    numbers = f"in {PRECISIONS[started.precision]} on {device}"
    rate = started.steps_per_epoch * len(epochs) / spent if spent else 0.0
    speed = f"{_speed(rate)}, {numbers}" if spent else f"Training {numbers}"
    if features is None:
        return f"{speed}."
    took = f"{features.seconds:.1f} s"
    made = f"reused (in an earlier run they took {took})" if features.reused else f"computed in {took}"
    line = f"The frozen part ran once: {features.numbers:,} features × {features.images:,} images, {made}. {speed}"
    if not spent:
        return f"{line}."
    computed = 0.0 if features.reused else features.seconds
    faster = (len(epochs) * features.seconds + spent) / (computed + spent)
    return f"{line}; an estimated {faster:,.0f} times faster than running all of it in every epoch."


def _speed(rate: float) -> str:
    return f"{rate:,.0f} steps per second" if rate >= 1.5 else f"{1 / rate:.1f} s per step"


def _seconds_left(run: Run, said: RunHistory, started: RunStarted) -> float | None:
    """From the mean of the epochs so far; in the first epoch from the steps since this session first saw some."""
    if not said.last_step:
        return None
    epochs_left = started.epochs - float(said.positions[-1])
    if said.epochs:
        return epochs_left * said.seconds_per_epoch
    first_look: tuple[int, float, int] = st.session_state["first look"]
    seen, since, first_step = first_look
    elapsed, steps = time.monotonic() - since, said.last_step - first_step
    if seen != run.id or elapsed < ENOUGH or not steps:
        return None
    return epochs_left * started.steps_per_epoch * elapsed / steps
