"""What training has moved: each block's distance from where it began, and how large the head's weights are."""

from collections.abc import Sequence

import streamlit as st

from core import home
from core.backbones import catalogue
from core.errors import BadCheckpoint
from core.events import EpochEnded
from core.jobs.job import Run
from core.results.head_weights import NEAR, HeadWeights, head_weights
from dashboard import palette, run_history
from dashboard.charts import Figure, layout, shortened
from dashboard.components.live_chart import live_chart
from dashboard.services import store
from dashboard.text import say

HEIGHT = 300
"""Of each chart, in pixels."""
EXPLAINED = (
    "A block's distance is ‖w − w₀‖ / ‖w₀‖: how far its weights went, as a share of their size before. "
    "What is frozen does not move at all."
)


def show_movement(run: Run) -> None:
    """Bars of all blocks, their way over the epochs, and the histogram of the head's weights."""
    said = run_history.read_outline(store(), run.id)
    kept = said.epoch(run.kept_epoch)
    if kept is None or not (kept.moved or kept.zeros is not None):
        st.info("This run was trained before Thaw measured what moves. Train it again to see.")
        return
    blocks = [block.name for block in catalogue.get(run.recipe.backbone).blocks]
    st.caption(EXPLAINED)
    left, right = st.columns(2)
    with left:
        live_chart(distance_bars(blocks, kept), key=f"moved-{run.id}", height=HEIGHT)
    with right:
        live_chart(distance_lines(blocks, said.epochs), key=f"moving-{run.id}", height=HEIGHT)
    try:
        weights = head_weights(home.weights_file(run.id), run.recipe)
    except BadCheckpoint as error:
        say("error", str(error))
        return
    live_chart(weights_bars(weights), key=f"weights-{run.id}", height=HEIGHT)
    st.text(in_words(weights))


def distance_bars(blocks: Sequence[str], kept: EpochEnded) -> Figure:
    """How far each block is from where it began, in the order of the network; frozen ones are at 0."""
    colours = [palette.TRAINABLE if block in kept.moved else palette.FROZEN for block in blocks]
    bars = {
        "type": "bar",
        "x": list(blocks),
        "y": shortened(kept.moved.get(block, 0.0) for block in blocks),
        "marker": {"color": colours},
        "hovertemplate": "%{x}: %{y:.2g}<extra></extra>",
    }
    axes = {"type": "category"}, {"rangemode": "tozero"}
    return {"data": [bars], "layout": layout(f"Moved by epoch {kept.epoch}", *axes) | {"showlegend": False}}


def distance_lines(blocks: Sequence[str], epochs: Sequence[EpochEnded]) -> Figure:
    """The same over the epochs, a line for each block that learns: the nearer to the head, the darker."""
    learning = [block for block in blocks if any(block in epoch.moved for epoch in epochs)]
    lines = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": block,
            "x": [epoch.epoch for epoch in epochs if block in epoch.moved],
            "y": shortened(epoch.moved[block] for epoch in epochs if block in epoch.moved),
            "line": {"color": palette.TRAINING, "width": 2.5},
            "opacity": 0.25 + 0.75 * (place + 1) / len(learning),
            "hovertemplate": f"{block}, epoch %{{x}}: %{{y:.2g}}<extra></extra>",
        }
        for place, block in enumerate(learning)
    ]
    axes = {"title": {"text": "epoch"}, "rangemode": "tozero"}, {"rangemode": "tozero"}
    return {"data": lines, "layout": layout("Over the epochs", *axes) | {"showlegend": False}}


def weights_bars(weights: HeadWeights) -> Figure:
    """The histogram; its counts on a scale on which the small ones are seen beside the many zeros."""
    middles = [(low + high) / 2 for low, high in zip(weights.edges, weights.edges[1:], strict=False)]
    bars = {
        "type": "bar",
        "x": shortened(middles),
        "y": list(weights.counts),
        "width": weights.edges[1] - weights.edges[0],
        "marker": {"color": palette.TRAINING},
        "hovertemplate": "about %{x:.3g}: %{y:,} weights<extra></extra>",
    }
    axes = {"title": {"text": "weight"}}, {"type": "log", "title": {"text": "how many"}}
    title = f"The head's {weights.count:,} weights"
    return {"data": [bars], "layout": layout(title, *axes) | {"showlegend": False, "bargap": 0}}


def in_words(weights: HeadWeights) -> str:
    """The shares that tell L1 from L2."""
    return f"{weights.zeros:.1%} are exactly 0, and {weights.near:.1%} more are smaller than {NEAR:g}."
