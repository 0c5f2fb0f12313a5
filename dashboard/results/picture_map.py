"""The pictures as points, before and after training: what a network finds alike lies together."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from core.jobs.job import Run
from core.jobs.run_kinds import MAP, RunArguments
from dashboard import job_progress, palette, picture_sets
from dashboard.charts import Figure, layout, shortened
from dashboard.components.live_chart import live_chart

HEIGHT = 420
"""In pixels."""
EXPLAINED = (
    "Each point is a picture. The network has {numbers} of it; the two axes are those along which the pictures differ "
    "most, and show {explained:.0%} of it. Rings are mistakes; held-out pictures are diamonds. Point at one to see it."
)


def show_map(run: Run) -> None:
    """Both maps side by side."""
    found = job_progress.result_of(MAP, RunArguments(run=run.id), True, "")
    if found is None:
        return
    st.caption(EXPLAINED.format(numbers="many numbers", explained=found["explained"]))
    for column, name, title in zip(st.columns(2), ("before", "after"), ("Before training", "After"), strict=True):
        with column:
            live_chart(points(found, name, title), key=f"map-{name}-{run.id}", height=HEIGHT, sheet=found.get("sheet"))
    wrong = [index for index, label in enumerate(found["labels"]) if found["said"][index] != label]
    if wrong:
        chosen = st.selectbox(
            "Look at a mistake", wrong, format_func=lambda index: _named(found, index), key=f"map-at-{run.id}"
        )
        st.image(picture_sets.thumbnail_url(Path(found["paths"][chosen]), 176))


def _named(found: Mapping[str, Any], index: int) -> str:
    own, said = (found["classes"][found[name][index]] for name in ("labels", "said"))
    return f"{Path(found['paths'][index]).name}: {own}, taken for {said}"


def points(found: Mapping[str, Any], name: str, title: str) -> Figure:
    """A trace for each class; a ring around what the kept model gets wrong."""
    traces = []
    for label, class_name in enumerate(found["classes"]):
        own = [index for index, one in enumerate(found["labels"]) if one == label]
        rings = [2.5 if found["said"][index] != label else 0 for index in own]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": html.escape(class_name),
                "x": shortened(found[name][index][0] for index in own),
                "y": shortened(found[name][index][1] for index in own),
                "text": [html.escape(_hover(found, index)) for index in own],
                "customdata": own,
                "hovertemplate": "%{text}<extra></extra>",
                "marker": {
                    "size": 10,
                    "color": palette.SERIES[label % len(palette.SERIES)],
                    "symbol": ["diamond" if found["held_out"][index] else "circle" for index in own],
                    "line": {"width": rings, "color": palette.WRONG},
                },
            }
        )
    axes = {"showticklabels": False, "zeroline": False}, {"showticklabels": False, "zeroline": False}
    below = {"legend": {"orientation": "h", "x": 0, "y": -0.02, "yanchor": "top"}}
    return {"data": traces, "layout": layout(title, *axes) | below}


def _hover(found: Mapping[str, Any], index: int) -> str:
    wrong = found["said"][index] != found["labels"][index]
    return (
        _named(found, index)
        if wrong
        else f"{Path(found['paths'][index]).name}: {found['classes'][found['labels'][index]]}"
    )
