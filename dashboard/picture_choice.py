"""Choose pictures, and see what they are."""

from pathlib import Path

import streamlit as st
from PIL import Image

from core.data.images import thumbnail
from core.data.scan import ImageFolder
from core.data.split import Split, split
from core.recipe_settings import SETTINGS
from dashboard import picture_sets
from dashboard.draft import bind, current
from dashboard.setting_widget import setting_widget
from dashboard.text import plain

SHOWN_CLASSES = 10
THUMBNAIL = 96
"""Side of a thumbnail in pixels."""


def choose_pictures() -> Split | None:
    """The widgets: pictures by their name, and how much of them is held out; returns how they are split.

    None for pictures that cannot be used.
    """
    names = picture_sets.choices(current()["data"])
    st.selectbox(
        SETTINGS["data"].title,
        list(names),
        format_func=lambda path: names.get(path, path),
        help=SETTINGS["data"].help,
        **bind("data"),
    )
    drawn = _count()
    setting_widget(SETTINGS["val_fraction"])
    return drawn


def _count() -> Split | None:
    if (folder := picture_sets.classes(current().data_path())) is None:
        return None
    drawn = split(folder, current().draw())
    parts = {"train": drawn.train, "val": drawn.val} | ({"test": drawn.test} if drawn.test else {})
    counts = ", ".join(f"{len(examples):,} {part}" for part, examples in parts.items())
    own = [name for name, part in (("val/", folder.val), ("test/", folder.test)) if part is not None]
    brought = f", with a {' and a '.join(own)} of its own" if own else ""
    st.caption(f"{sum(folder.counts()):,} pictures in {len(folder.classes):,} classes{brought}: {counts}")
    return drawn


def show_pictures() -> ImageFolder | None:
    """A strip of classes, each with some of its pictures and their number; returns what is in the folder.

    Shows nothing, and returns None, for pictures that cannot be used: `core.training.plan` says why.
    """
    if (folder := picture_sets.classes(current().data_path())) is None:
        return None
    shown = folder.classes[:SHOWN_CLASSES]
    per_class = 3 if len(shown) <= 6 else 1
    counts = folder.counts()
    for label, column in enumerate(st.columns(len(shown))):
        examples = tuple(example.path for example in folder.train if example.label == label)[:per_class]
        column.image(_sheet(examples), caption=f"{plain(shown[label])} · {counts[label]:,}", width="stretch")
    if rest := len(folder.classes) - len(shown):
        st.caption(f"{rest:,} more classes are not shown.")
    return folder


@st.cache_data(max_entries=200, show_spinner=False)
def _sheet(paths: tuple[Path, ...]) -> Image.Image:
    """Square thumbnails side by side."""
    side_by_side = Image.new("RGB", (THUMBNAIL * len(paths), THUMBNAIL), "white")
    for position, path in enumerate(paths):
        side_by_side.paste(thumbnail(path, THUMBNAIL), (THUMBNAIL * position, 0))
    return side_by_side
