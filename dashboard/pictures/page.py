"""Pictures: bring them in, see what they are, tidy them up, see what the network sees."""

from pathlib import Path

import streamlit as st

from core.data.scan import Scan, pictures_digest, read_image_folder
from core.errors import BadData
from core.jobs.picture_kinds import PREVIEW, PreviewArguments
from dashboard import draft, job_progress, picture_choice, picture_sets
from dashboard.charts import class_bars
from dashboard.components.live_chart import live_chart
from dashboard.picture_sets import require_allowed
from dashboard.pictures import dataset_controls, gallery, import_menu, issues
from dashboard.services import checked
from dashboard.text import plain, say

SEEN = 104
"""Pixels of a picture of the first batch: as many as let three rows stand beside the classes."""
BAR_HEIGHT = 24
"""Pixels for each class."""


def main() -> None:
    """Sidebar: choose and bring in. Main column: the chosen pictures."""
    if draft.is_new():
        picture_sets.open_named(st.query_params.get("data", ""))
    with st.sidebar:
        picture_choice.choose_pictures()
        import_menu.show_import_menu()
    picture_sets.name_in_address(draft.current()["data"])
    job_progress.show_last_failure()
    job_progress.show_imports()
    path = draft.current().data_path()
    found = picture_sets.pictures(path)
    head(path, found)
    if found is None:
        say("error", why_not(path))
        return
    folder = picture_sets.classes(path)
    if folder is None:
        say("error", why_not(path))
    for notice in folder.notices if folder else found.notices:
        say("notice", str(notice))
    left, right = st.columns([3, 2], gap="medium")
    with right:
        st.markdown("**Before you train**")
        digest = pictures_digest(Path(path))
        seen = issues.inspection(found, digest)
        if seen:
            issues.show_issues(found, seen)
        if folder:
            first_batch(digest)
    with left:
        counts(found)
        gallery.show_gallery(found, folder, seen)


def head(path: str, found: Scan | None) -> None:
    """The name, and what can be done with the whole."""
    data = picture_sets.data_set(path)
    title, buttons = st.columns([3, 4], vertical_alignment="center")
    title.subheader(plain(picture_sets.SAMPLES.get(path) or (data.name if data else path)))
    with buttons, st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        if data:
            dataset_controls.rename_popover(data)
            dataset_controls.delete_popover(data)
        if st.button("Train on these", type="primary", icon=":material/play_arrow:", key="data.train"):
            st.switch_page("train/page.py")
    if data and data.source:
        st.caption(plain(f"Source: {data.source}"))
    if data and found:
        dataset_controls.split_choice(data, found)
        dataset_controls.show_skipped(data)


def why_not(path: str) -> str:
    """The sentence about pictures that cannot be used."""
    try:
        require_allowed(Path(path))
        read_image_folder(Path(path))
    except (BadData, OSError) as error:
        return str(error)
    return ""


def counts(found: Scan) -> None:
    """How many pictures each class has."""
    figure, rows = class_bars(found)
    live_chart(figure, key="data.counts", height=100 + BAR_HEIGHT * rows, waiting="No pictures.")


def first_batch(digest: str) -> None:
    """The first batch as the network gets it."""
    settings = draft.current().settings()
    recipe, *_ = checked(settings)
    if recipe is None:
        return
    settings["weights"] = recipe.weights
    st.markdown("**What the network sees** in the first batch: sized, cropped and varied")
    seen = job_progress.result_of(PREVIEW, PreviewArguments(settings=settings), False, "Show it", digest)
    if seen:
        st.image(seen["images"], caption=[plain(label) for label in seen["labels"]], width=SEEN)


main()
