"""How many pictures each class has, as a plotly figure."""

import html
from collections import Counter

from core.data.scan import Scan
from dashboard.charts import Figure
from dashboard.palette import TRAINING, VALIDATION

SHOWN = 20
"""Classes that have a bar; the largest ones, where there are more."""


def class_bars(scanned: Scan) -> tuple[Figure, int]:
    """The figure, and how many bars it has: one for each class. Pictures of its own val/ are stacked on the others."""
    train = Counter(picture.label for picture in scanned.pictures if picture.split != "val")
    val = Counter(picture.label for picture in scanned.pictures if picture.split == "val")
    labels = list(train | val)
    if len(labels) > SHOWN:
        labels = [label for label, _count in (train + val).most_common(SHOWN)]
    bars = [("pictures" if not val else "training", TRAINING, train), ("validation", VALIDATION, val)]
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
    more = len(train | val) - len(labels)
    classes = f"{len(train | val):,} class{'es' if len(train | val) != 1 else ''}"
    title = f"Pictures per class: {sum((train + val).values()):,} in {classes}"
    few = max((train + val).values(), default=0) <= 10
    layout = {
        "title": {"text": title + (f" (the {SHOWN} largest)" if more else ""), "x": 0, "xanchor": "left"},
        "barmode": "stack",
        "yaxis": {"autorange": "reversed", "type": "category", "automargin": True, "ticklabelposition": "outside"},
        "xaxis": {"rangemode": "tozero", **({"dtick": 1} if few else {})},
        "showlegend": bool(val),
        "legend": {"orientation": "h", "y": 0, "yref": "container", "x": 0, "traceorder": "normal"},
    }
    return {"data": traces, "layout": layout}, len(labels)
