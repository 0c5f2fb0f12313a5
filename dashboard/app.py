"""Thaw's dashboard, its navigation only: `python -m streamlit run dashboard/app.py` from the project's root."""

from pathlib import Path

import streamlit as st

from dashboard import phone
from dashboard.services import collect_garbage_now_and_then, is_ready, saying_trouble

ASSETS = Path(__file__).parent / "assets"

st.set_page_config(page_title="Thaw", page_icon=str(ASSETS / "icon.svg"), layout="wide")
st.logo(str(ASSETS / "logo.svg"), size="large")
st.html(ASSETS / "page.css")
collect_garbage_now_and_then()
page = st.navigation(
    [
        st.Page("train/page.py", title="Train", icon=":material/local_fire_department:", default=True),
        st.Page("pictures/page.py", title="Data", url_path="data", icon=":material/photo_library:"),
        st.Page("runs/page.py", title="Runs", url_path="runs", icon=":material/history:"),
        st.Page("compare/page.py", title="Compare", url_path="compare", icon=":material/stacked_line_chart:"),
        st.Page(phone.phone_page, title="Phone", url_path=phone.PATH, visibility="hidden"),
    ],
    position="top",
)
with saying_trouble():
    if is_ready():
        page.run()
