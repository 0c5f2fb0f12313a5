"""Pictures: bring them in, see what they are, tidy them up, see what the network sees."""

from pathlib import Path

import streamlit as st

from core.check import check
from core.data.folder import look
from core.data.found import Findings
from core.errors import BadData, BadRecipe
from core.runs.roots import demand_allowed
from dashboard import draft, sets
from dashboard.bars import class_bars
from dashboard.components.live_chart import live_chart
from dashboard.panels import bring_in, data_set, gallery, pictures, remarks, tasks
from dashboard.parts import plain, say

SEEN = 104
"""Pixels of a picture of the first batch: as many as let three rows stand beside the classes."""
BAR_HEIGHT = 24
"""Pixels for each class."""


def main() -> None:
    """Sidebar: choose and bring in. Main column: the chosen pictures."""
    if draft.is_new():
        sets.open_named(st.query_params.get("data", ""))
    with st.sidebar:
        pictures.choose()
        bring_in.choose()
    sets.name_in_address(draft.current().data)
    tasks.told()
    tasks.imports()
    path = draft.current().data_path()
    found = sets.pictures(path)
    head(path, found)
    if found is None:
        say("error", why_not(path))
        return
    folder = sets.classes(path)
    if folder is None:
        say("error", why_not(path))
    for notice in folder.notices if folder else found.notices:
        say("notice", notice)
    left, right = st.columns([3, 2], gap="medium")
    with right:
        st.markdown("**Before you train**")
        seen = remarks.inspect(found)
        if seen:
            remarks.show(found, seen)
        if folder:
            first_batch(found)
    with left:
        counts(found)
        gallery.show(found, folder, seen)


def head(path: str, found: Findings | None) -> None:
    """The name, and what can be done with the whole."""
    data = sets.data_set(path)
    title, buttons = st.columns([3, 4], vertical_alignment="center")
    title.subheader(plain(sets.SAMPLES.get(path) or (data.name if data else path)))
    with buttons, st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        if data:
            data_set.describe(data)
            data_set.delete(data)
        if st.button("Train on these", type="primary", icon=":material/play_arrow:", key="data.train"):
            st.switch_page("views/train.py")
    if data and data.source:
        st.caption(plain(f"Source: {data.source}"))
    if data and found:
        data_set.split_choice(data, found)
        data_set.skipped(data)


def why_not(path: str) -> str:
    """The sentence about pictures that cannot be used."""
    try:
        demand_allowed(Path(path))
        look(Path(path))
    except (BadData, OSError) as error:
        return str(error)
    return ""


def counts(found: Findings) -> None:
    """How many pictures each class has."""
    figure, rows = class_bars(found)
    live_chart(figure, key="data.counts", height=100 + BAR_HEIGHT * rows, waiting="No pictures.")


def first_batch(found: Findings) -> None:
    """The first batch as the network gets it."""
    settings = draft.current().settings()
    try:
        check(settings)
    except BadRecipe:
        return
    st.markdown("**What the network sees** in the first batch: sized, cropped and varied")
    name = f"p{sets.digest(settings, remarks.about(found))}"
    seen = tasks.result(name, "preview", False, "Show it", lambda: {"settings": settings})
    if seen:
        st.image(seen["images"], caption=[plain(label) for label in seen["labels"]], width=SEEN)


main()
