"""Would more pictures help? The learning curve of a head, and a cautious look ahead."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.jobs.job import Run
from core.jobs.run_kinds import MORE
from core.messages import Message
from core.training.plan import pictures_question
from dashboard import job_progress, palette
from dashboard.charts import Figure, layout, shortened
from dashboard.components.live_chart import live_chart

HEIGHT = 340
"""In pixels."""
EXPLAINED = (
    "A simple classifier, on what pretraining sees, taught with draws of the training pictures; each is tried on the "
    "same {held_out} validation pictures. The band holds 8 of 10 draws. With all pictures there is one draw only."
)


def show_more_pictures(run: Run) -> None:
    """The curve and the sentence."""
    found = job_progress.result_of(MORE, pictures_question(run.recipe), True, "")
    if found is None:
        return
    st.text(str(Message.parse(found["sentence"])))
    live_chart(curve(found), key=f"learning-curve-{run.id}", height=HEIGHT)
    st.caption(EXPLAINED.format(held_out=f"{found['held_out']:,}"))


def curve(found: Mapping[str, Any]) -> Figure:
    """Means with a band over the number of pictures a class; what twice as many might bring is dotted."""
    points = found["points"]
    sizes, means = [one["per_class"] for one in points], shortened(one["mean"] for one in points)
    there = [(one["per_class"], one["high"]) for one in points]
    back = [(one["per_class"], one["low"]) for one in reversed(points)]
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [x for x, _ in there + back],
            "y": shortened(y for _, y in there + back),
            "fill": "toself",
            "fillcolor": palette.VALIDATION + "33",
            "line": {"width": 0},
            "hoverinfo": "skip",
            "showlegend": False,
        },
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "validation",
            "x": sizes,
            "y": means,
            "line": {"color": palette.VALIDATION, "width": 3},
            "hovertemplate": "%{x} a class: %{y:.1%}<extra></extra>",
        },
    ]
    if after := found["next"]:
        last = points[-1]
        traces += [
            {
                "type": "scatter",
                "mode": "lines",
                "name": "twice as many, perhaps",
                "x": [last["per_class"], after["per_class"], after["per_class"], last["per_class"]],
                "y": shortened([last["mean"], after["low"], after["high"], last["mean"]]),
                "fill": "toself",
                "fillcolor": palette.VALIDATION + "18",
                "line": {"color": palette.VALIDATION, "width": 1, "dash": "dot"},
                "hoverinfo": "skip",
            }
        ]
    axes = {"type": "log", "title": {"text": "training pictures a class"}}, {"range": [0, 1.02], "tickformat": ".0%"}
    return {"data": traces, "layout": layout("Accuracy on validation pictures", *axes)}
