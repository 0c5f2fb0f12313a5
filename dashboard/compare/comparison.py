"""Several runs held against each other: curves, settings, results. Pure functions from values to figures and tables."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.events import METRICS, heading
from core.figures import Spread, cannot_be_told_apart, few_images, within_spread
from core.jobs.family import accuracy, counted, in_words
from core.jobs.job import Run
from core.messages import Message
from core.recipe_settings import flat_settings, title
from dashboard.charts import PARTS, Figure, band, counts, layout, shortened
from dashboard.palette import SERIES
from dashboard.run_history import RunHistory

Axis = Literal["epochs", "seconds"]
RunHistories = list[tuple[Run, RunHistory]]
"""Runs with their histories."""


def chart(pairs: RunHistories, measure: Literal["loss", "accuracy"], axis: Axis) -> Figure:
    """One colour for each run: training dashed, validation solid. A family has the band of its runs in validation."""
    traces = [
        _band(run, history, measure, axis, colour)
        for colour, (run, history) in zip(SERIES, pairs, strict=False)
        if history.members
    ] + [
        _curve(run, history, measure, axis, colour, part)
        for colour, (run, history) in zip(SERIES, pairs, strict=False)
        for part, _ in PARTS
    ]
    share = {"range": [0, 1.02], "tickformat": ".0%"}
    y_axis: dict[str, Any] = share if measure == "accuracy" else {"rangemode": "tozero"}
    x_axis = {"title": {"text": "epoch" if axis == "epochs" else "seconds of training"}, "rangemode": "tozero"}
    return {"data": traces, "layout": layout(heading(measure), x_axis, y_axis)}


def _curve(run: Run, history: RunHistory, measure: str, axis: Axis, colour: str, part: str) -> dict[str, Any]:
    points = [(epoch, getattr(epoch, part)) for epoch in history.epochs]
    kept = [(epoch, metrics) for epoch, metrics in points if metrics]
    places = [place for place, (_, metrics) in zip(_places(history, axis), points, strict=True) if metrics]
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


def _places(history: RunHistory, axis: Axis) -> list[float]:
    """Where the epochs lie: at their numbers, or at the seconds of training after which they ended."""
    if axis == "epochs":
        return [epoch.epoch for epoch in history.epochs]
    spent: list[float] = np.cumsum([epoch.seconds for epoch in history.epochs]).tolist()
    return spent


def _band(run: Run, history: RunHistory, measure: str, axis: Axis, colour: str) -> dict[str, Any]:
    """Shown and hidden with the curves of its run."""
    return {**band(history, "val", measure, _places(history, axis), colour), "legendgroup": str(run.id)}


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
    share, right, score = val.accuracy if val else accuracy(run), in_words(run), counted(run)
    return {
        "Run": run.id,
        "Name": run.name,
        "Status": run.status,
        "Kept epoch": run.kept_epoch,
        "Validation accuracy": None if share is None else 100 * share,
        "Right": None if right is None else str(right),
        "95 % interval": str(score.between()) if score else None,
        **{f"Validation {METRICS[name].title}": value for name, value in others.items() if name in METRICS},
        "Validation cross-entropy": val.cross_entropy if val else None,
        "Generalisation gap": 100 * (kept.train.accuracy - val.accuracy) if kept and val else None,
        "Seconds": run.job.seconds,
        "Trainable parameters": history.started.trainable_parameters if history.started else None,
    }


def remarks(pairs: RunHistories) -> list[Message]:
    """What to keep in mind when these runs are held against each other: the pictures, their number, chance."""
    scores = {run.id: run.val for run, _ in pairs if run.val}
    spreads = {run.id: Spread((run.val,)) for run, _ in pairs if run.val}
    spreads |= {run.id: run.spread for run, _ in pairs if run.spread}
    if len(spreads) < 2:
        return []
    if not on_same_pictures([(run, history) for run, history in pairs if run.id in spreads]):
        return [
            Message(
                "These runs were not validated on the same pictures: pictures, held-out share, seed of the split or "
                "fold differ. A difference between them may come from that alone."
            )
        ]
    fewest = min(score.images for spread in spreads.values() for score in spread.scores)
    said = (few_images(fewest), cannot_be_told_apart(scores), *_by_chance(spreads))
    return [sentence for sentence in said if sentence]


def _by_chance(spreads: dict[int, Spread]) -> Iterator[Message]:
    """Which differ from the highest by less than seeds or folds make, where at least one of the two is a family."""
    highest = max(spreads, key=lambda run: spreads[run].mean)
    for run, spread in spreads.items():
        if run != highest and (why := within_spread(spread, spreads[highest])):
            yield Message("Runs {run} and {highest}: {why}.", run=run, highest=highest, why=why)


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
