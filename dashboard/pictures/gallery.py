"""The pictures themselves, in a table: leave some out, bring them back, put them into another class."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.data import datasets
from core.data.scan import ImageFolder, Picture, Scan
from core.data.split import split
from core.messages import Message
from dashboard import draft, picture_sets
from dashboard.pictures.issues import leave_out, own_folder

PAGE = 50
"""Pictures at a time."""
SIDE = 64
EVERYTHING, LEFT_OUT = "All classes", "Left out"


def show_gallery(scanned: Scan, folder: ImageFolder | None, seen: Mapping[str, Any] | None) -> None:
    """Filters, what can be done with the ticked pictures, and the table."""
    chosen, is_left_out = _filtered(scanned)
    pages = max(1, -(-len(chosen) // PAGE))
    page = min(st.session_state.get("data.page", 1), pages)
    listed = chosen[(page - 1) * PAGE : page * PAGE]
    key = f"gallery-{picture_sets.digest([picture.file for picture in listed], is_left_out)}"
    state = st.session_state.get(key)
    ticked = [listed[row] for row in state["selection"]["rows"]] if state else []
    _toolbar(ticked, scanned, is_left_out)
    if not listed:
        st.info("No picture is left out." if is_left_out else "There are no pictures here.", icon=":material/image:")
        return
    st.dataframe(
        _table(listed, _held_out(folder), seen),
        key=key,
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        row_height=SIDE + 8,
        height=(SIDE + 8) * min(len(listed), 8) + 38,
        column_config={"Picture": st.column_config.ImageColumn(width=SIDE + 24)},
    )
    if pages > 1:
        st.number_input(f"Page, of {pages:,}", 1, pages, key="data.page", width=180)


def _filtered(scanned: Scan) -> tuple[list[Picture], bool]:
    labels = list(dict.fromkeys(picture.label for picture in scanned.pictures))
    options = [EVERYTHING, *labels, *([LEFT_OUT] if scanned.removed else [])]
    only: tuple[str, frozenset[str]] | None = st.session_state.get("data.only")
    listed = [picture for picture in scanned.pictures if only and str(picture.path) in only[1]]
    if only and listed:  # None of them where other pictures have been chosen since.
        with st.container(horizontal=True, vertical_alignment="center"):
            st.text(f"Only: {only[0]}")
            if st.button("Show all", key="data.all"):
                del st.session_state["data.only"]
                st.rerun()
        return listed, False
    label = st.selectbox("Pictures of", options, key="data.class", width=320, label_visibility="collapsed")
    if label == LEFT_OUT and scanned.removed:
        return list(scanned.removed), True
    return [picture for picture in scanned.pictures if label in (EVERYTHING, picture.label)], False


def _toolbar(ticked: list[Picture], scanned: Scan, is_left_out: bool) -> None:
    chosen = [picture.file for picture in ticked]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        if is_left_out:
            if st.button("Bring back", icon=":material/undo:", disabled=not ticked, key="data.back"):
                datasets.bring_back(own_folder(), chosen)
                st.rerun()
            return
        if st.button("Leave out", icon=":material/block:", disabled=not ticked, key="data.out"):
            leave_out(chosen)
        labels = list(dict.fromkeys(picture.label for picture in scanned.pictures))
        with st.popover("Another class", icon=":material/label:", disabled=not ticked):
            label = st.selectbox("Class", labels, accept_new_options=True, index=None, key="data.relabel")
            if st.button("Put them there", type="primary", disabled=not label, key="data.put") and label:
                datasets.relabel(own_folder(), chosen, label.strip())
                st.rerun()
        st.caption(f"{len(ticked)} ticked" if ticked else "Tick pictures to leave them out or to relabel them.")


def _held_out(folder: ImageFolder | None) -> dict[Path, str]:
    """What pictures are used for that do not train."""
    if folder is None:
        return {}
    drawn = split(folder, draft.current().draw())
    parts = (("validation", drawn.val), ("test", drawn.test))
    return {example.path: part for part, examples in parts for example in examples}


def _table(listed: list[Picture], held_out: Mapping[Path, str], seen: Mapping[str, Any] | None) -> pd.DataFrame:
    infos = seen["infos"] if seen else {}
    with ThreadPoolExecutor() as threads:
        urls = list(threads.map(lambda picture: picture_sets.thumbnail_url(picture.path, SIDE), listed))
    rows = []
    for picture, url in zip(listed, urls, strict=True):
        width, height, problem = infos.get(str(picture.path), (0, 0, None))
        rows.append(
            {
                "Picture": url,
                "Name": picture.name,
                "Class": picture.label,
                "Used for": held_out.get(picture.path, "training"),
                "Size": f"{width} × {height}" if width else "",
                "Problem": str(Message.parse(problem)) if problem else "",
            }
        )
    table = pd.DataFrame(rows)
    return table if table["Problem"].any() else table.drop(columns="Problem")
