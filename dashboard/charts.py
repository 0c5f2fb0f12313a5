"""From a run's history to plotly figures: pure functions from values to plain dicts.

Dicts and not `plotly.graph_objects`, which take a second to import and validate every point at every refresh.
"""

import html
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from tsdownsample import MinMaxLTTBDownsampler

from core.data.scan import HELD_OUT, Scan
from core.events import METRICS, EpochEnded, heading
from core.figures import score
from dashboard import palette
from dashboard.palette import TEST, TRAINING, VALIDATION
from dashboard.run_history import RunHistory

Figure = dict[str, Any]

DASHES = {"cross_entropy": "dot", "l1": "dash", "l2": "dashdot"}
DIGITS = 5
"""Digits kept of each value: more would be sent, and none of them seen."""
RUNNING_MEANS = "Training curves are running means, measured on the way while the weights still change."
"""What to know of them beside validation curves, which are measured after each epoch."""
BAND = "33"
"""How opaque the band of a family is: the last two digits of its colour, of FF."""
POINTS = 1000
"""Points that a curve is thinned to: a chart is not much wider in pixels."""

_thinner = MinMaxLTTBDownsampler()  # type: ignore[no-untyped-call]


def loss_chart(history: RunHistory, epochs: int) -> Figure:
    """Loss by step and by epoch, in training and validation; the validation's terms too where penalties are on.

    The axis has room for so many `epochs`, also before the first one.
    """
    traces = [*_curves(history, "loss")]
    on = [name for name in ("l1", "l2") if history.last_step and history.column(name)[-1]]
    if on:
        traces += [_term(history, name) for name in ("cross_entropy", *on)] + [_validated_cross_entropy(history)]
    axes = _by_epoch(epochs, heading("loss"), {"rangemode": "tozero"})
    return {"data": traces, "layout": axes | {"shapes": _kept(history, epochs)}}


def accuracy_chart(history: RunHistory, epochs: int) -> Figure:
    """Share of pictures named rightly, by step and by epoch, in training and validation; and what guessing reaches."""
    axes = _by_epoch(epochs, heading("accuracy"), {"range": [0, 1.02], "tickformat": ".0%"})
    return {
        "data": _curves(history, "accuracy"),
        "layout": axes | {"shapes": _kept(history, epochs) + _guessing(history)},
    }


def _kept(history: RunHistory, epochs: int) -> list[dict[str, Any]]:
    """A line at the epoch whose weights are kept; of a family, each run has its own."""
    kept = [epoch.epoch for epoch in history.epochs if epoch.kept and not history.members][-1:]
    place = {"yref": "paper", "y0": 0, "y1": 1}
    return [
        _line(
            {"x0": at, "x1": at, **place},
            {"text": f"kept: epoch {at}", "textposition": "middle", "xanchor": "right" if at > epochs / 2 else "left"},
        )
        for at in kept
    ]


def _guessing(history: RunHistory) -> list[dict[str, Any]]:
    """A line at the share of the largest class among the validation pictures: calling all of them that is as good."""
    images = Counter[int]()
    for own, _said, count in history.epochs[-1].confusion if history.epochs else ():
        images[own] += count
    if not images:
        return []
    share = max(images.values()) / images.total()
    place = {"xref": "paper", "x0": 0, "x1": 1, "y0": share, "y1": share}
    return [_line(place, {"text": f"guessing: {100 * share:.0f} %", "textposition": "end", "xanchor": "right"})]


def _line(place: dict[str, Any], label: dict[str, Any]) -> dict[str, Any]:
    line = {"color": palette.LINE, "width": 1.5, "dash": "dot"}
    return {"type": "line", "line": line, "label": {"textangle": 0, "font": {"size": 13}, **label}, **place}


def _curves(history: RunHistory, measure: str) -> list[dict[str, Any]]:
    """A faint line through the steps, and a strong one with markers through each pass over the images.

    Of a family no steps, but the band of its runs behind each line.
    """
    number = f"%{{y:{METRICS[measure].format}}}"
    steps = {
        **_thinned(history, measure),
        "hovertemplate": f"step %{{customdata}}: {number}<extra></extra>",
        "name": "each step",
        "line": {"color": palette.TRAINING, "width": 1.5},
        "opacity": 0.85,
    }
    validated = [epoch for epoch in history.epochs if epoch.val]
    passes = [
        ("training", palette.TRAINING, "circle", [(e.epoch, e.train) for e in history.epochs]),
        ("validation", palette.VALIDATION, "diamond", [(e.epoch, e.val) for e in validated if e.val]),
    ]
    more = {"training": " (running mean)", "validation": "%{customdata}"}
    places = [float(epoch.epoch) for epoch in history.epochs]
    bands = [band(history, part, measure, places, colour) for part, colour in PARTS] if history.members else []
    return (bands or [{"type": "scatter", "mode": "lines", **steps}]) + [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": [epoch for epoch, _ in points],
            "y": shortened([getattr(metrics, measure) for _, metrics in points]),
            "customdata": counts(validated, measure) if name == "validation" else None,
            "hovertemplate": f"{name}, epoch %{{x}}: {number}{more[name]}<extra></extra>",
            "name": name,
            "line": {"color": colour, "width": 3},
            "marker": {"color": colour, "size": 8, "symbol": symbol},
        }
        for name, colour, symbol, points in passes
    ]


PARTS = (("train", TRAINING), ("val", VALIDATION))


def band(history: RunHistory, part: str, measure: str, places: Sequence[float], colour: str) -> dict[str, Any]:
    """The area between the lowest and the highest run of a family, at the `places` of its epochs on the x axis."""
    passes = [[getattr(member.epoch(epoch.epoch), part) for member in history.members] for epoch in history.epochs]
    known = [(x, [getattr(one, measure) for one in at]) for x, at in zip(places, passes, strict=True) if all(at)]
    there, back = [(x, max(values)) for x, values in known], [(x, min(values)) for x, values in reversed(known)]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": shortened(x for x, _ in there + back),
        "y": shortened(y for _, y in there + back),
        "fill": "toself",
        "fillcolor": colour + BAND,
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def counts(epochs: Iterable[EpochEnded], measure: str) -> list[str]:
    """What to say behind each epoch's accuracy in validation: ", 34 of 39"; nothing where the count is not known."""
    scores = [score(epoch.confusion) if measure == "accuracy" else None for epoch in epochs]
    return [f", {one.in_words()}" if one else "" for one in scores]


def _term(history: RunHistory, name: str) -> dict[str, Any]:
    """One term of the training loss by step, so that one sees what the penalties weigh."""
    return {
        "type": "scatter",
        "mode": "lines",
        **_thinned(history, name),
        "hovertemplate": f"{METRICS[name].title}: %{{y:{METRICS[name].format}}}<extra></extra>",
        "name": METRICS[name].title,
        "legend": "legend2",
        "line": {"color": palette.TERMS[name], "width": 2, "dash": DASHES[name]},
    }


def _validated_cross_entropy(history: RunHistory) -> dict[str, Any]:
    """What validation costs without the penalties, to be held against the training's cross-entropy."""
    points = [(epoch.epoch, epoch.val.cross_entropy) for epoch in history.epochs if epoch.val]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [epoch for epoch, _ in points],
        "y": shortened([loss for _, loss in points]),
        "hovertemplate": "cross-entropy in validation, epoch %{x}: %{y:.4f}<extra></extra>",
        "name": "its validation",
        "legend": "legend2",
        "line": {"color": palette.VALIDATION, "width": 2, "dash": DASHES["cross_entropy"]},
    }


def layout(title: str, x_axis: dict[str, Any], y_axis: dict[str, Any]) -> dict[str, Any]:
    """The title at the left, the legend above the curves at the right."""
    return {
        "title": {"text": title, "x": 0, "xanchor": "left", "y": 0.98, "yanchor": "top"},
        "xaxis": x_axis,
        "yaxis": y_axis,
        "showlegend": True,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
    }


def _by_epoch(epochs: int, title: str, y_axis: dict[str, Any]) -> dict[str, Any]:
    """With two legends of a row each, since one that wraps in mid-run would move the axes: the terms' lies below."""
    x_axis = {"title": {"text": "epoch"}, "range": [0, epochs * 1.02], "rangemode": "tozero"}
    return {
        **layout(title, x_axis, y_axis),
        "legend2": {"orientation": "h", "y": -0.15, "yanchor": "top", "x": 0, "xanchor": "left"},
    }


def _thinned(history: RunHistory, measure: str) -> dict[str, list[float]]:
    """The steps' curve of one measure, thinned by MinMaxLTTB (arXiv:2305.00332), which keeps every peak's place."""
    values = np.ascontiguousarray(history.column(measure))
    kept = _thinner.downsample(values, n_out=POINTS) if len(values) > POINTS else slice(None)
    steps = history.column("step")[kept].astype(int)
    return {"x": shortened(history.positions[kept]), "y": shortened(values[kept]), "customdata": steps.tolist()}


def shortened(values: Iterable[float]) -> list[float]:
    """The values with DIGITS digits each."""
    return [float(f"{value:.{DIGITS}g}") for value in values]


BARS = 20
"""Classes that have a bar; the largest ones, where there are more."""


def class_bars(scanned: Scan) -> tuple[Figure, int]:
    """The figure, and how many bars it has: one for each class. Pictures of an own val/ or test/ are stacked on it."""
    train = Counter(picture.label for picture in scanned.pictures if picture.split not in HELD_OUT)
    val, test = (Counter(picture.label for picture in scanned.pictures if picture.split == part) for part in HELD_OUT)
    every = train + val + test
    labels = list(every)
    if len(labels) > BARS:
        labels = [label for label, _count in every.most_common(BARS)]
    bars = [
        ("training" if val or test else "pictures", TRAINING, train),
        ("validation", VALIDATION, val),
        ("test", TEST, test),
    ]
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "y": [html.escape(label) for label in labels],
            "x": [counts[label] for label in labels],
            "marker": {"color": colour},
            "hovertemplate": "%{y}: %{x} " + name + "<extra></extra>",
        }
        for name, colour, counts in bars
        if counts
    ]
    more = len(every) - len(labels)
    classes = f"{len(every):,} class{'es' if len(every) != 1 else ''}"
    title = f"Pictures per class: {sum(every.values()):,} in {classes}"
    few = max(every.values(), default=0) <= 10
    layout = {
        "title": {"text": title + (f" (the {BARS} largest)" if more else ""), "x": 0, "xanchor": "left"},
        "barmode": "stack",
        "yaxis": {"autorange": "reversed", "type": "category", "automargin": True, "ticklabelposition": "outside"},
        "xaxis": {"rangemode": "tozero", **({"dtick": 1} if few else {})},
        "showlegend": bool(val or test),
        "legend": {"orientation": "h", "y": 0, "yref": "container", "x": 0, "traceorder": "normal"},
    }
    return {"data": traces, "layout": layout}, len(labels)
