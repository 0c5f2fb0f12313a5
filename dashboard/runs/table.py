"""Runs as tables: which ones to list, the list, and its CSV."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from core.figures import Score
from core.jobs.family import accuracy, counted, in_words
from core.jobs.job import Run
from core.recipe_settings import flat_settings
from dashboard.text import backbone_of, describe_recipe, optimizer_of, penalties_of, trainable_of


@dataclass(frozen=True)
class Wanted:
    """`words` must all occur somewhere in a run's description; empty sets and False let everything pass."""

    words: tuple[str, ...] = ()
    states: frozenset[str] = frozenset()
    backbones: frozenset[str] = frozenset()
    starred: bool = False


def run_filters(runs: list[Run]) -> Wanted:
    """The row of widgets above the table."""
    search, state, backbone, star = st.columns([3, 3, 3, 1], vertical_alignment="bottom")
    words = search.text_input(
        "Search", placeholder="name, note, tag, pictures, block …", key="runs.search", icon=":material/search:"
    )
    states = state.multiselect("Status", list(STATUS), format_func=STATUS.__getitem__, key="runs.status")
    backbones = backbone.multiselect("Backbone", sorted({backbone_of(run.recipe) for run in runs}), key="runs.backbone")
    starred = star.toggle("Starred", key="runs.starred")
    return Wanted(tuple(words.lower().split()), frozenset(states), frozenset(backbones), starred)


def passes(run: Run, wanted: Wanted) -> bool:
    """Whether a run is to be listed."""
    text = " ".join([describe_recipe(run.recipe), run.status, run.name, run.note, *run.tags, f"#{run.id}"]).lower()
    return (
        all(word in text for word in wanted.words)
        and (not wanted.states or run.status in wanted.states)
        and (not wanted.backbones or backbone_of(run.recipe) in wanted.backbones)
        and (run.starred or not wanted.starred)
    )


STATUS = {
    "queued": "○ queued",
    "running": "▶ running",
    "paused": "❚❚ paused",
    "finished": "✔ finished",
    "failed": "✖ failed",
    "stopped": "■ stopped",
}


def to_table(runs: list[Run]) -> pd.DataFrame:
    """A row for each run, as the page shows it; families have a column where there are some."""
    table = pd.DataFrame([_row(run) for run in runs])
    return table if any(run.is_family or run.parent for run in runs) else table.drop(columns="Family", errors="ignore")


def _row(run: Run) -> dict[str, object]:
    score, share, right = counted(run), accuracy(run), in_words(run)
    return {
        "run": run.id,
        "★": "★" if run.starred else "",
        "Status": STATUS[run.status],
        "Name": run.name,
        "Family": f"{len(run.children)} runs" if run.is_family else f"of run {run.parent}" if run.parent else None,
        "Pictures": Path(run.recipe.data).name,
        "Backbone": backbone_of(run.recipe),
        "Trainable": trainable_of(run.recipe),
        "Optimizer": optimizer_of(run.recipe),
        "Penalties": penalties_of(run.recipe) or "–",
        "Epochs": run.recipe.epochs,
        "Kept epoch": run.kept_epoch,
        "accuracy": None if share is None else 100 * share,
        "Right": None if right is None else str(right),
        "interval": str(score.between()) if score else None,
        "seconds": run.job.seconds,
        "created": run.job.created,
        "Tags": list(run.tags),
    }


def to_csv(runs: list[Run]) -> bytes:
    """A row for each run with all that the store knows of it, every setting a column; UTF-8 as Excel wants it."""
    text: str = pd.DataFrame([_full_row(run) for run in runs]).to_csv(index=False)
    return text.encode("utf-8-sig")


def _full_row(run: Run) -> dict[str, object]:
    test, preset, spread = run.test, run.preset, run.spread
    return {
        "run": run.id,
        "family": run.parent,
        "runs": len(run.children) if run.is_family else None,
        "status": run.status,
        "name": _harmless(run.name),
        "note": _harmless(run.note),
        "tags": _harmless(" ".join(run.tags)),
        "starred": run.starred,
        "created": run.job.created.isoformat() + "Z",
        "seconds": run.job.seconds,
        "kept_epoch": run.kept_epoch,
        **_score("val", counted(run)),
        "val_mean": spread.mean if spread else None,
        "val_low": spread.low if spread else None,
        "val_high": spread.high if spread else None,
        "balanced_accuracy": run.balanced_accuracy,
        "zeros": run.zeros,
        **_score("test", test.score if test else None),
        "test_balanced_accuracy": test.balanced_accuracy if test else None,
        "test_epoch": test.epoch if test else None,
        "test_looks": test.looks if test else None,
        "preset": _harmless(preset.name) if preset else None,
        "changed_by_hand": _harmless(" ".join(preset.changed)) if preset else None,
        "message": None if run.job.message is None else str(run.job.message),
        **{name: _harmless(value) for name, value in flat_settings(run.recipe).items()},
    }


def _score(part: str, score: Score | None) -> dict[str, object]:
    low, high = score.interval if score else (None, None)
    return {
        f"{part}_right": score.right if score else None,
        f"{part}_images": score.images if score else None,
        f"{part}_accuracy": score.share if score else None,
        f"{part}_interval_low": low,
        f"{part}_interval_high": high,
    }


def _harmless(value: object) -> object:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, "CSV injection")."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
