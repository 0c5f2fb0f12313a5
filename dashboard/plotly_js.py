"""Plotly's JavaScript for the live charts, out of the installed plotly wheel, so that charts work offline."""

import importlib.metadata
import importlib.util
import os
import shutil
from pathlib import Path

import streamlit as st

STATIC = Path(__file__).parent / "static"


@st.cache_resource(show_spinner=False)
def publish() -> str:
    """Copy plotly.min.js into the folder that Streamlit serves, once per version; returns its address on the server."""
    name = f"plotly-{importlib.metadata.version('plotly')}.min.js"
    target = STATIC / name
    if not target.exists():
        spec = importlib.util.find_spec("plotly")  # Finds plotly without importing it, which would take a second.
        assert spec is not None
        assert spec.origin is not None
        STATIC.mkdir(exist_ok=True)
        partial = target.with_suffix(f".{os.getpid()}")  # One each: servers may start at the same time.
        shutil.copyfile(Path(spec.origin).parent / "package_data" / "plotly.min.js", partial)
        partial.replace(target)
    return f"app/static/{name}"
