"""A plotly chart that is redrawn in place while a run goes on: zoom and hidden curves stay as the person left them.

`st.plotly_chart` mounts a new chart at every change of data, and both are lost.
"""

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from core import files
from dashboard.components.stamp import stamped

_HERE = Path(__file__).parent
STATIC = _HERE.parent / "static"
"""The folder that Streamlit serves: it lies beside `dashboard/app.py`."""
_mount = st.components.v2.component(
    "thaw.live_chart",
    html='<div class="chart" role="img"></div><p class="sentence" hidden></p><div class="thumbnail" hidden></div>',
    css=(_HERE / "live_chart.css").read_text(encoding="utf-8"),
    js=(_HERE / "live_chart.js").read_text(encoding="utf-8"),
    isolate_styles=False,  # plotly puts its styles into the document, where a shadow root would not see them.
)


def live_chart(
    figure: Mapping[str, Any],
    *,
    key: str,
    height: int,
    waiting: str = "The first point appears here.",
    sheet: Mapping[str, Any] | None = None,
) -> None:
    """Draw `figure` (plotly's "data" and "layout"), `height` pixels high, as wide as there is room.

    With a `sheet` (`core.results.picture_map.Sheet`), the small picture whose number is a point's `customdata` is shown
    beside the cursor.

    As long as no curve has a point, the empty axes say `waiting`.
    plotly reads a small part of HTML in names and labels: escape what people wrote with `html.escape`.
    """
    data = {"figure": dict(figure), "height": height, "waiting": waiting, "sheet": sheet, "plotly": publish_plotly()}
    _mount(data=stamped(data, key), key=key, height=height)


@st.cache_resource(show_spinner=False)
def publish_plotly() -> str:
    """Copy plotly.min.js into the folder that Streamlit serves, once per version; returns its address on the server."""
    name = f"plotly-{importlib.metadata.version('plotly')}.min.js"
    target = STATIC / name
    if not target.exists():
        spec = importlib.util.find_spec("plotly")  # Finds plotly without importing it, which would take a second.
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).parent / "package_data" / "plotly.min.js"
        files.write_bytes(target, source.read_bytes())
    return f"app/static/{name}"
