"""Several runs held against each other: curves, settings, results. Pure functions from values to figures and tables."""

from typing import Any, Literal

import numpy as np
import pandas as pd

from core.events import METRICS, heading
from core.jobs.job import Run
from core.recipe_settings import flat_settings, title
from dashboard.charts import Figure, layout, shortened
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
    word = {"train": "training", "val": "validation"}[part]
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
        "hovertemplate": f"run {run.id}, {word}: %{{y:.4g}} at %{{x}}<extra></extra>",
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
    """A row for each run: how good at its best epoch, how long, how much was trained.

    The generalisation gap is the training accuracy of that epoch less the validation accuracy, in points.
    """
    return pd.DataFrame([_result(run, history) for run, history in pairs])


def _result(run: Run, history: RunHistory) -> dict[str, object]:
    best = next((epoch for epoch in history.epochs if epoch.epoch == run.best_epoch), None)
    val = best.val if best else None
    others = val.others if val else {}
    return {
        "Run": run.id,
        "Name": run.name,
        "Status": run.status,
        "Best epoch": run.best_epoch,
        "Validation accuracy": 100 * val.accuracy if val else None,
        "Validation loss": val.loss if val else None,
        **{f"Validation {METRICS[name].title}": value for name, value in others.items() if name in METRICS},
        "Generalisation gap": 100 * (best.train.accuracy - val.accuracy) if best and val else None,
        "Seconds": run.job.seconds,
        "Trainable parameters": history.started.trainable_parameters if history.started else None,
    }


def _written(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)
