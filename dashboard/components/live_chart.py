"""A plotly chart that is redrawn in place while a run goes on: zoom and hidden curves stay as the person left them.

`st.plotly_chart` mounts a new chart at every change of data, and both are lost.
"""

from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import plotly_js

_HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "thaw.live_chart",
    html='<div class="chart" role="img"></div><p class="sentence" hidden></p>',
    css=".chart { width: 100%; } .sentence { color: var(--st-text-color); font-family: var(--st-font); }",
    js=(_HERE / "live_chart.js").read_text(encoding="utf-8"),
    isolate_styles=False,  # plotly puts its styles into the document, where a shadow root would not see them.
)


def live_chart(figure: dict[str, Any], *, key: str, height: int) -> None:
    """Draw `figure` (plotly's "data" and "layout"), `height` pixels high, as wide as there is room.

    plotly reads a small part of HTML in names and labels: escape what people wrote with `html.escape`.
    """
    _mount(data={"figure": figure, "height": height, "plotly": plotly_js.publish()}, key=key, height=height)
