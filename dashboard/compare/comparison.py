"""Several runs held against each other: curves, settings, results. Pure functions from values to figures and tables."""

from typing import Any, Literal

import numpy as np
import pandas as pd

from core.events import METRICS, heading
from core.figures import cannot_be_told_apart, few_images
from core.jobs.job import Run
from core.messages import Message
from core.recipe_settings import flat_settings, title
from dashboard.charts import Figure, counts, layout, shortened
from dashboard.palette import RUNS
from dashboard.run_history import RunHistory

Axis = Literal["epochs", "seconds"]
RunHistories = list[tuple[Run, RunHistory]]
"""Runs with their histories."""


def chart(pairs: RunHistories, measure: Literal["loss", "accuracy"], axis: Axis) -> Figure:
    """One colour for each run: training dashed, validation solid."""
    traces = [
        _curve(run, history, measure, axis, colour, part)
        for colour, (run, history) in zip(RUNS, pairs, strict=False)
        for part in ("train", "val")
    ]
    share = {"range": [0, 1.02], "tickformat": ".0%"}
    y_axis: dict[str, Any] = share if measure == "accuracy" else {"rangemode": "tozero"}
    x_axis = {"title": {"text": "epoch" if axis == "epochs" else "seconds of training"}, "rangemode": "tozero"}
    return {"data": traces, "layout": layout(heading(measure), x_axis, y_axis)}


def _curve(run: Run, history: RunHistory, measure: str, axis: Axis, colour: str, part: str) -> dict[str, Any]:
    points = [(epoch, getattr(epoch, part)) for epoch in history.epochs]
    kept = [(epoch, metrics) for epoch, metrics in points if metrics]
    spent = np.cumsum([epoch.seconds for epoch in history.epochs]).tolist()
    seconds = {epoch.epoch: so_far for epoch, so_far in zip(history.epochs, spent, strict=True)}
    places = [epoch.epoch if axis == "epochs" else seconds[epoch.epoch] for epoch, _ in kept]
    word, more = {"train": ("training", " (running mean)"), "val": ("validation", "%{customdata}")}[part]
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(kept) <= 60 else "lines",
        "x": shortened(places),
        "y": shortened([getattr(metrics, measure) for _, metrics in kept]),
        "name": f"run {run.id}" if part == "val" else f"run {run.id}, training",
        "legendgroup": str(run.id),
        "showlegend": part == "val" or not any(epoch.val for epoch in history.epochs),
        "line": {"color": colour, "width": 3 if part == "val" else 2, "dash": "solid" if part == "val" else "dash"},
        "marker": {"color": colour, "size": 6},
        "customdata": counts([epoch for epoch, _ in kept], measure) if part == "val" else None,
        "hovertemplate": f"run {run.id}, {word}: %{{y:{METRICS[measure].format}}}{more} at %{{x}}<extra></extra>",
    }


def settings_table(runs: list[Run]) -> pd.DataFrame:
    """A row for each setting by its label, a column for each run, and whether they differ in the column "differs"."""
    flat = [flat_settings(run.recipe) for run in runs]
    names = list(dict.fromkeys(name for row in flat for name in row))
    rows = []
    for name in names:
        values = [_written(row.get(name)) for row in flat]
        columns = {f"Run {run.id}": value for run, value in zip(runs, values, strict=True)}
        rows.append({"Setting": title(name), **columns, "differs": len(set(values)) > 1})
    return pd.DataFrame(rows)


def results_table(pairs: RunHistories) -> pd.DataFrame:
    """A row for each run: how good the weights are that were kept, how long it took, how much was trained.

    The generalisation gap is the training accuracy of that epoch, a running mean, less the validation accuracy, in
    points. Figures of tests are left out: runs are not to be chosen by them.
    """
    return pd.DataFrame([_result(run, history) for run, history in pairs])


def _result(run: Run, history: RunHistory) -> dict[str, object]:
    kept = history.epoch(run.kept_epoch)
    val = kept.val if kept else None
    others = val.others if val else {}
    return {
        "Run": run.id,
        "Name": run.name,
        "Status": run.status,
        "Kept epoch": run.kept_epoch,
        "Validation accuracy": 100 * val.accuracy if val else None,
        "Right": str(run.val.in_words()) if run.val else None,
        "95 % interval": str(run.val.between()) if run.val else None,
        **{f"Validation {METRICS[name].title}": value for name, value in others.items() if name in METRICS},
        "Validation cross-entropy": val.cross_entropy if val else None,
        "Generalisation gap": 100 * (kept.train.accuracy - val.accuracy) if kept and val else None,
        "Seconds": run.job.seconds,
        "Trainable parameters": history.started.trainable_parameters if history.started else None,
    }


def remarks(pairs: RunHistories) -> list[Message]:
    """What to keep in mind when these runs are held against each other: the pictures, their number, chance."""
    scores = {run.id: run.val for run, _ in pairs if run.val}
    if len(scores) < 2:
        return []
    if not on_same_pictures([(run, history) for run, history in pairs if run.val]):
        return [
            Message(
                "These runs were not validated on the same pictures: pictures, held-out share, seed of the split or "
                "fold differ. A difference between them may come from that alone."
            )
        ]
    said = (few_images(min(score.images for score in scores.values())), cannot_be_told_apart(scores))
    return [sentence for sentence in said if sentence]


def on_same_pictures(pairs: RunHistories) -> bool:
    """Whether all settings of the split agree, and the numbers of pictures that it came to."""
    return len({_split(run, history) for run, history in pairs}) == 1


def _split(run: Run, history: RunHistory) -> tuple[object, ...]:
    recipe, started = run.recipe, history.started
    numbers = (started.classes, started.train_images, started.val_images) if started else ()
    settings = (recipe.val_fraction, recipe.test_fraction, recipe.seeds.split, recipe.folds, recipe.fold)
    return (recipe.data, *settings, *numbers)


def _written(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)
