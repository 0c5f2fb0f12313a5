"""The pictures that a page may use and choose, by the names that people know."""

import base64
import hashlib
from io import BytesIO
from pathlib import Path

import streamlit as st

from core import home
from core.data import datasets
from core.data.images import thumbnail
from core.data.scan import ImageFolder, Scan, arrange_classes, scan
from core.errors import BadData
from core.home import SAMPLE_DATA
from core.messages import Message
from core.settings import settings
from dashboard import draft


def allowed_folders() -> tuple[Path, ...]:
    """The folders of THAW_DATA_ROOTS."""
    return settings().data_roots


def require_allowed(path: Path) -> None:
    """Raises BadData when `path`, links followed, lies in none of the folders that the page may use."""
    try:
        real = path.resolve()
        real.exists()
    except (OSError, ValueError) as error:  # Too long, or with a zero byte in it.
        template = "{path} can be no path on this computer ({cause})."
        raise BadData(template, path=repr(str(path)), cause=str(error)) from error
    named = allowed_folders()
    if any(real.is_relative_to(root) for root in (SAMPLE_DATA.resolve(), home.data_folder().resolve(), *named)):
        return
    template = (
        "{path} is outside the folders that this page may use. Whoever starts Thaw allows folders by the setting "
        "THAW_DATA_ROOTS ({folders})."
    )
    raise BadData(template, path=path, folders=named or Message("none so far"))


SAMPLES = {
    str(SAMPLE_DATA / "stamps"): "Stamps: photos of things",
    str(SAMPLE_DATA / "digits"): "Digits: handwriting",
}


def choices(chosen: str) -> dict[str, str]:
    """Names by path: the samples, all data sets, and whatever is chosen now."""
    own = {str(data.folder): data.name for data in datasets.list_datasets(home.data_folder())}
    return SAMPLES | own | ({chosen: name_of(chosen)} if chosen and chosen not in own | SAMPLES else {})


@st.cache_data(ttl=5, show_spinner=False)
def name_of(path: str) -> str:
    """What to call the pictures at a path: a data set's name, also of a deleted one, or the folder's."""
    folder = Path(path)
    try:
        return datasets.read_dataset(folder).name if datasets.is_dataset(folder) else folder.name
    except BadData:
        return folder.name


def data_set(path: str) -> datasets.DataSet | None:
    """The data set at a path; None for a sample, another folder, or one that is deleted or damaged."""
    own = {str(data.folder): data for data in datasets.list_datasets(home.data_folder())}
    return own.get(path)


def open_named(name: str) -> None:
    """Choose the data set that an address names, if there is one."""
    own = {data.folder.name: data.folder for data in datasets.list_datasets(home.data_folder())}
    if name in own:
        draft.current()["data"] = str(own[name])


def name_in_address(path: str) -> None:
    """Put the chosen data set into the address, so that it can be sent on and survives a reload."""
    if data_set(path):
        st.query_params["data"] = Path(path).name
    elif "data" in st.query_params:
        del st.query_params["data"]


def pictures(path: str) -> Scan | None:
    """The pictures at a path; None where there are none or the page may not look: `core.training.plan` says why."""
    try:
        require_allowed(Path(path))
        return scan(Path(path))
    except (BadData, OSError):
        return None


def classes(path: str) -> ImageFolder | None:
    """The classes at a path, as they would be trained on; None where that cannot be."""
    scanned = pictures(path)
    try:
        return arrange_classes(Path(path), scanned) if scanned else None
    except (BadData, OSError):
        return None


def changed_form(folder: Path) -> Path:
    """Where people's changes to a folder's pictures are: the data set chosen now, where it is of these pictures."""
    chosen = data_set(draft.current().data_path())
    return chosen.folder if chosen and chosen.root == folder else folder


def own_of(folder: Path) -> Path:
    """The data set whose record takes changes to the pictures in a folder; the folder's own files stay as they are.

    Of a sample or another folder it is the changed form, or else a new one, which is then chosen.
    """
    known = changed_form(folder)
    if datasets.is_dataset(known):
        return known
    name = SAMPLES.get(str(folder), folder.name).split(":")[0]
    own = datasets.link_folder(home.data_folder(), f"{name}, changed", folder).folder
    draft.current()["data"] = str(own)
    return own


@st.cache_data(max_entries=4000, show_spinner=False)
def thumbnail_url(path: Path, side: int) -> str:
    """The middle of a picture, `side` pixels square, as a data URL."""
    file = BytesIO()
    thumbnail(path, side).save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def digest(*parts: object) -> str:
    """A short name for values, the same for the same values."""
    return hashlib.sha256(repr(parts).encode("utf-8", "replace")).hexdigest()[:16]
