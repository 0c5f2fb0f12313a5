"""The ways in: an archive, files or a folder, the camera, a folder of the server, public data sets."""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import streamlit as st

from core import home
from core.data import datasets
from core.data.scan import read_image_folder
from core.errors import ThawError
from core.intake.archive import store_upload
from core.intake.public import PUBLIC_SETS
from core.jobs.job import Given, Kind
from core.jobs.picture_kinds import ARCHIVE, CAMERA, PUBLIC, UPLOAD, ArchiveArguments, PublicArguments, UploadArguments
from core.settings import settings
from dashboard import draft, job_progress, picture_sets
from dashboard.components.webcam import webcam
from dashboard.picture_sets import allowed_folders, require_allowed
from dashboard.text import plain, say


def show_import_menu() -> None:
    """One way at a time."""
    ways: dict[str, Callable[[], None]] = {
        "Archive": _archive,
        "Files": _files,
        "Camera": lambda: camera_import(_into()),
        "Folder": server_folder,
        "Public": public_sets,
    }
    way = st.segmented_control(
        "Bring your own pictures", list(ways), default="Archive", key="data.way", required=True, width="stretch"
    )
    ways[way]()


def _archive() -> None:
    uploaded = st.file_uploader(
        "A zip or tar of class folders", key=_fresh("archive"), help="With or without train/, val/ and test/ in it."
    )
    if uploaded is not None:
        folder = home.uploads_folder() / secrets.token_hex(8)
        folder.mkdir(parents=True)
        (folder / "archive").write_bytes(uploaded.getbuffer())
        title = uploaded.name
        name, source = title.split(".")[0] or "Pictures", f"the archive {title}"
        _take(ARCHIVE, ArchiveArguments(name=name, source=source, file=folder / "archive", title=title))
    allowed = settings()
    st.caption(
        f"Limits: {allowed.max_archive_mb:,} MB, {allowed.max_files:,} files, {allowed.max_unpacked_mb:,} MB unpacked; "
        f"{allowed.max_file_mb} MB, {allowed.max_megapixels} megapixels, {allowed.max_side:,} pixels a side for each "
        "picture; "
        f"{allowed.max_classes:,} classes. The README says how to change them."
    )


def _files() -> None:
    into = _into()
    kinds = ["Pictures", "Whole folder"]
    kind = st.segmented_control("What", kinds, default="Pictures", key="data.kind", required=True)
    label = ""
    if kind == "Pictures":
        label = st.text_input("Class of these pictures", key="data.label", max_chars=settings().max_name).strip()
    uploaded = st.file_uploader(
        "Pictures of one class" if kind == "Pictures" else "A folder that holds one folder per class",
        accept_multiple_files=True if kind == "Pictures" else "directory",
        key=_fresh("files"),
    )
    ready = bool(uploaded) and (kind != "Pictures" or bool(label))
    if st.button("Add them", type="primary", disabled=not ready, key="data.add", width="stretch"):
        above = f"{as_folder(label)}/" if label else ""
        upload = _upload((f"{above}{file.name}", file.getvalue()) for file in uploaded)
        name = label or uploaded[0].name.split("/")[0] or "Pictures"
        _take(UPLOAD, UploadArguments(name=name, source="uploaded", upload=upload, into=into))
    if uploaded and not ready:
        st.caption("Say which class they are of.")


def _into() -> Path | None:
    """Which data set gets the pictures; None for a new one."""
    chosen = draft.current()["data"]
    own = picture_sets.data_set(chosen)
    if own is None or own.root is not None:
        return None
    new = st.segmented_control("Add to", ["these", "new ones"], default="these", key=f"into-{chosen}", required=True)
    return own.folder if new == "these" else None


def _upload(named: Iterable[tuple[str, bytes]]) -> Path:
    """Keep files from the browser, each with its path, until a job takes them in; the folder that has them."""
    folder = home.uploads_folder() / secrets.token_hex(8)
    store_upload(folder, named)
    return folder


def _fresh(kind: str) -> str:
    """The key of an uploader, another one once its files were taken."""
    return f"data.{kind}.{st.session_state.get(f'data.{kind}', 0)}"


def _take(kind: Kind[Given], given: Given) -> None:
    """Follow an import, and empty the uploader that its files came from."""
    uploader = {ARCHIVE.name: "archive", UPLOAD.name: "files"}[kind.name]
    st.session_state[f"data.{uploader}"] = st.session_state.get(f"data.{uploader}", 0) + 1
    job_progress.begin(kind, given)
    st.rerun()


BURST, EVERY = 10, 0.2
"""Pictures of a press, and seconds between two of them: time to turn the thing a little."""


def camera_import(into: Path | None) -> None:
    """A class's name and the camera; every burst goes into the data set `into`, or into a new one."""
    label = st.text_input("Class that the camera sees", key="data.seen", max_chars=settings().max_name).strip()
    taken = webcam(key="data.camera", pictures=BURST, every=EVERY, disabled=not label)
    if not label:
        st.caption("Name a class, such as “cup”; then hold it before the camera.")
    elif taken:
        upload = _upload(burst(label, taken))
        given = UploadArguments(name="Camera", source="taken with the camera", upload=upload, into=into)
        job_progress.begin(CAMERA, given)
        st.rerun()


def burst(label: str, taken: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """The pictures of a press, each with the path of a file in the class's folder."""
    at = time.strftime("%H.%M.%S")
    for number, content in enumerate(taken, start=1):
        yield f"{as_folder(label)}/{at}-{number}.jpg", content


def as_folder(label: str) -> str:
    """A class's name as one part of a path: a slash becomes a sign that looks like one."""
    return label.replace("/", "\N{DIVISION SLASH}")


PER_CLASS = 100
"""Pictures of each class of a public data set that are proposed."""


def server_folder() -> None:
    """A folder, used where it is, or an archive, below what the server allows."""
    if not allowed_folders():
        st.caption("Whoever starts Thaw can allow folders of this computer: THAW_DATA_ROOTS=/path/to/pictures")
        return
    st.caption(plain(f"Below {' or '.join(str(root) for root in allowed_folders())}"))
    typed = st.text_input("Folder, or zip or tar archive", key="data.path", placeholder=str(allowed_folders()[0]))
    if not st.button("Use it", type="primary", disabled=not typed, key="data.use", width="stretch"):
        return
    path = allowed_folders()[0] / typed
    try:
        require_allowed(path)
        if path.is_file():
            given = ArchiveArguments(name=path.name.split(".")[0], source=str(path), file=path)
            job_progress.begin(ARCHIVE, given)
            st.rerun()
        read_image_folder(path)
        job_progress.choose_dataset(str(datasets.link_folder(home.data_folder(), path.name, path).folder))
    except ThawError as error:
        say("error", str(error))
        return
    st.rerun()


def public_sets() -> None:
    """One of torchvision's data sets, downloaded."""
    name = st.selectbox(
        "torchvision's data sets", list(PUBLIC_SETS), format_func=lambda key: PUBLIC_SETS[key].title, key="data.known"
    )
    chosen = PUBLIC_SETS[name]
    st.caption(
        f"{chosen.about}. {chosen.pictures:,} pictures in {chosen.classes} classes; {chosen.megabytes:,} MB to "
        f"download. Licence: {chosen.licence}."
    )
    per_class = st.number_input(
        "Pictures of each class",
        0,
        value=PER_CLASS,
        step=50,
        key="data.per",
        help="At the most, and as many again for a test where the publisher has one; 0 takes all.",
    )
    if st.button("Download", type="primary", icon=":material/download:", key="data.get", width="stretch"):
        job_progress.begin(PUBLIC, PublicArguments(name=name, per_class=per_class or None))
        st.rerun()
