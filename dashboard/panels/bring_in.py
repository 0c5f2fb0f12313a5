"""The ways in: an archive, files or a folder, the camera, a folder of the server, torchvision's data sets."""

from collections.abc import Callable

import streamlit as st

from core.data.limits import limits
from core.intake import files
from core.runs import task
from core.runs.jobs import UPLOADS
from dashboard import draft, sets
from dashboard.panels import camera, elsewhere, tasks


def choose() -> None:
    """One way at a time."""
    ways: dict[str, Callable[[], None]] = {
        "Archive": _archive,
        "Files": _files,
        "Camera": lambda: camera.choose(_into()),
        "Folder": elsewhere.server,
        "Public": elsewhere.known,
    }
    way = st.segmented_control(
        "Bring your own pictures", list(ways), default="Archive", key="data.way", required=True, width="stretch"
    )
    ways[way]()


def _archive() -> None:
    uploaded = st.file_uploader(
        "A zip or tar of class folders", key=_fresh("archive"), help="With or without train/ and val/ in it."
    )
    if uploaded is not None:
        folder = task.new()
        (folder / UPLOADS).mkdir()
        (folder / UPLOADS / "archive").write_bytes(uploaded.getbuffer())
        title = uploaded.name
        arguments = {"name": title.split(".")[0] or "Pictures", "source": f"the archive {title}", "title": title}
        _begin(task.start(folder, "archive", **arguments), "archive")
    allowed = limits()
    st.caption(
        f"Limits: {allowed.archive_mb:,} MB, {allowed.files:,} files, {allowed.unpacked_mb:,} MB unpacked; "
        f"{allowed.file_mb} MB, {allowed.megapixels} megapixels and {allowed.side:,} pixels a side for each picture; "
        f"{allowed.classes:,} classes. The README says how to change them."
    )


def _files() -> None:
    into = _into()
    kinds = ["Pictures", "Whole folder"]
    kind = st.segmented_control("What", kinds, default="Pictures", key="data.kind", required=True)
    label = ""
    if kind == "Pictures":
        label = st.text_input("Class of these pictures", key="data.label", max_chars=limits().name).strip()
    uploaded = st.file_uploader(
        "Pictures of one class" if kind == "Pictures" else "A folder that holds one folder per class",
        accept_multiple_files=True if kind == "Pictures" else "directory",
        key=_fresh("files"),
    )
    ready = bool(uploaded) and (kind != "Pictures" or bool(label))
    if st.button("Add them", type="primary", disabled=not ready, key="data.add", width="stretch"):
        folder = task.new()
        above = f"{camera.as_folder(label)}/" if label else ""
        files.put(folder / UPLOADS, ((f"{above}{one.name}", one.getvalue()) for one in uploaded))
        name = label or uploaded[0].name.split("/")[0] or "Pictures"
        _begin(task.start(folder, "files", name=name, source="uploaded", into=into), "files")
    if uploaded and not ready:
        st.caption("Say which class they are of.")


def _into() -> str | None:
    """Which data set gets the pictures; None for a new one."""
    chosen = draft.current().data
    own = sets.data_set(chosen)
    if own is None or own.root is not None:
        return None
    new = st.segmented_control("Add to", ["these", "new ones"], default="these", key=f"into-{chosen}", required=True)
    return chosen if new == "these" else None


def _fresh(kind: str) -> str:
    """The key of an uploader, another one once its files were taken."""
    return f"data.{kind}.{st.session_state.get(f'data.{kind}', 0)}"


def _begin(name: str, kind: str) -> None:
    """Follow an import, and empty the uploader that its files came from."""
    st.session_state[f"data.{kind}"] = st.session_state.get(f"data.{kind}", 0) + 1
    tasks.follow(name)
    st.rerun()
