"""The ways in: an archive, files or a folder, the camera, a folder of the server, torchvision's data sets."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import streamlit as st

from core.data import files, stored
from core.data.folder import look
from core.data.incoming import Incoming, Member
from core.data.known import KNOWN
from core.data.limits import limits
from core.errors import ThawError
from core.runs import home, task
from core.runs.jobs import UPLOADS
from core.runs.roots import demand_allowed, roots
from dashboard import draft, sets
from dashboard.components.webcam import webcam
from dashboard.panels import tasks
from dashboard.parts import say

BURST, EVERY = 10, 0.2
"""Pictures of a press, and seconds between two of them: time to turn the thing a little."""
PER_CLASS = 100


def choose() -> None:
    """One way at a time."""
    ways: dict[str, Callable[[], None]] = {
        "Archive": _archive,
        "Files": _files,
        "Camera": _camera,
        "Folder": _server,
        "Public": _known,
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
    kind = st.segmented_control(
        "What", ["Pictures", "Whole folder"], default="Pictures", key="data.kind", required=True
    )
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
        above = f"{label.replace('/', '∕')}/" if label else ""
        files.put(folder / UPLOADS, ((f"{above}{one.name}", one.getvalue()) for one in uploaded))
        arguments = {"name": _name_for(uploaded[0].name, label), "source": "uploaded", "into": into}
        _begin(task.start(folder, "files", **arguments), "files")
    if uploaded and not ready:
        st.caption("Say which class they are of.")


def _name_for(first: str, label: str) -> str:
    return label or first.split("/")[0] or "Pictures"


def _camera() -> None:
    into = _into()
    label = st.text_input("Class that the camera sees", key="data.seen", max_chars=limits().name).strip()
    taken = webcam(key="data.camera", pictures=BURST, every=EVERY, disabled=not label)
    if not label:
        st.caption("Name a class, such as “cup”; then hold it before the camera.")
    elif taken:
        _run(_taken_in(_burst(label, taken), into))


def _burst(label: str, taken: list[bytes]) -> Iterator[Incoming]:
    at = time.strftime("%H.%M.%S")
    for number, content in enumerate(taken, start=1):
        yield Member(f"{label.replace('/', '∕')}/{at}-{number}.jpg", lambda content=content: content, 1.0)  # type: ignore[misc]


def _taken_in(incoming: Iterator[Incoming], into: str | None) -> Any:
    if into:
        return stored.extend(stored.read(Path(into)), incoming)
    return stored.create(home.data_folder(), "Camera", "taken with the camera", incoming)


def _run(job: Any) -> None:
    """A burst is small: it is taken in here and now."""
    try:
        while True:
            try:
                next(job)
            except StopIteration as end:
                draft.current().data = str(end.value.folder)
                break
    except ThawError as error:
        say("error", str(error))
        return
    st.rerun()


def _server() -> None:
    if not roots():
        st.caption("Whoever starts Thaw can allow folders of this computer: THAW_DATA_ROOTS=/path/to/pictures")
        return
    st.caption(f"Below {' or '.join(str(root) for root in roots())}")
    given = st.text_input("Folder, or zip or tar archive", key="data.path", placeholder=str(roots()[0]))
    if not st.button("Use it", type="primary", disabled=not given, key="data.use", width="stretch"):
        return
    path = Path(given).expanduser()
    path = path if path.is_absolute() else roots()[0] / path
    try:
        demand_allowed(path)
        if path.is_file():
            _begin(
                task.start(task.new(), "archive", name=path.name.split(".")[0], source=str(path), file=str(path)), ""
            )
            return
        look(path)
        draft.current().data = str(stored.adopt(home.data_folder(), path.name, path).folder)
    except ThawError as error:
        say("error", str(error))
        return
    st.rerun()


def _known() -> None:
    name = st.selectbox(
        "torchvision's data sets", list(KNOWN), format_func=lambda key: KNOWN[key].title, key="data.known"
    )
    known = KNOWN[name]
    st.caption(
        f"{known.about}. {known.pictures:,} pictures in {known.classes} classes, {known.megabytes:,} MB to download. "
        f"Licence: {known.licence}."
    )
    per_class = st.number_input(
        "Pictures of each class", 0, value=PER_CLASS, step=50, key="data.per", help="At the most; 0 takes all."
    )
    if st.button("Download", type="primary", icon=":material/download:", key="data.get", width="stretch"):
        _begin(task.start(task.new(), "known", name=name, per_class=per_class or None), "")


def _into() -> str | None:
    """Which data set gets the pictures; None for a new one."""
    chosen = draft.current().data
    own = sets.data_set(chosen)
    if own is None or own.root is not None or own.deleted is not None:
        return None
    new = st.segmented_control("Add to", ["these", "new ones"], default="these", key=f"into-{chosen}", required=True)
    return chosen if new == "these" else None


def _fresh(kind: str) -> str:
    """The key of an uploader, another one once its files were taken."""
    return f"data.{kind}.{st.session_state.get(f'data.{kind}', 0)}"


def _begin(name: str, kind: str) -> None:
    """Follow an import, and empty the uploader that its files came from."""
    if kind:
        st.session_state[f"data.{kind}"] = st.session_state.get(f"data.{kind}", 0) + 1
    tasks.follow(name)
    st.rerun()
