"""Choose a folder of pictures, and see what is in it."""

from pathlib import Path

import streamlit as st
from PIL import Image, ImageOps

from core.data.decode import decode
from core.data.folder import ImageFolder, look
from core.errors import BadData, BadImage
from dashboard.draft import SAMPLE_DATA, bind, current
from dashboard.parts import plain

SAMPLES = {
    str(SAMPLE_DATA / "stamps"): "Stamps: photos of things",
    str(SAMPLE_DATA / "digits"): "Digits: handwriting",
}
SHOWN_CLASSES = 10
THUMBNAIL = 96
"""Side of a thumbnail in pixels."""


def choose() -> None:
    """The widgets: a sample by name or a folder by its path, and how much of it is held out."""
    paths = dict.fromkeys([*SAMPLES, current().data])
    st.selectbox(
        "Pictures",
        list(paths),
        format_func=lambda path: SAMPLES.get(path, path),
        accept_new_options=True,
        help="What the network shall learn: a sample, or type the path of a folder that holds one folder per class.",
        **bind("data"),
    )
    _count()
    st.number_input(
        "Held out for validation",
        step=0.05,
        format="%g",
        help="Share of each class that the network never trains on, so that one sees how it does on new pictures.",
        **bind("val_fraction"),
    )


def _count() -> None:
    if (folder := _chosen()) is None:
        return
    own = ", with a val/ of its own" if folder.val is not None else ""
    st.caption(f"{sum(folder.counts()):,} pictures in {len(folder.classes):,} classes{own}")


def show() -> ImageFolder | None:
    """A strip of classes, each with some of its pictures and their number; returns what is in the folder.

    Shows nothing, and returns None, for a folder that cannot be used: `core.check` says why.
    """
    if (folder := _chosen()) is None:
        return None
    shown = folder.classes[:SHOWN_CLASSES]
    per_class = 3 if len(shown) <= 6 else 1
    counts = folder.counts()
    for label, column in enumerate(st.columns(len(shown))):
        examples = tuple(example.path for example in folder.train if example.label == label)[:per_class]
        column.image(_sheet(examples), caption=f"{plain(shown[label])} · {counts[label]}", width="stretch")
    if rest := len(folder.classes) - len(shown):
        st.caption(f"{rest:,} more classes are not shown.")
    return folder


def _chosen() -> ImageFolder | None:
    try:
        return _look_at(current().data_path())
    except (BadData, OSError):
        return None


@st.cache_data(ttl=5, show_spinner="Looking at the pictures …")
def _look_at(path: str) -> ImageFolder:
    """The folder as it was within the last seconds. Raises BadData or OSError."""
    return look(Path(path))


@st.cache_data(max_entries=200, show_spinner=False)
def _sheet(paths: tuple[Path, ...]) -> Image.Image:
    """Square thumbnails side by side; a grey one for a picture that cannot be read."""
    side_by_side = Image.new("RGB", (THUMBNAIL * len(paths), THUMBNAIL), "white")
    for position, path in enumerate(paths):
        side_by_side.paste(_thumbnail(path), (THUMBNAIL * position, 0))
    return side_by_side


def _thumbnail(path: Path) -> Image.Image:
    try:
        return ImageOps.fit(decode(path), (THUMBNAIL, THUMBNAIL))
    except BadImage:
        return Image.new("RGB", (THUMBNAIL, THUMBNAIL), "gainsboro")
