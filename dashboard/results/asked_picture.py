"""Which picture a run is asked about, by the ways in which it comes: one of its own, a file, the camera, a phone."""

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from core import home
from core.data.images import decode
from core.data.scan import read_image_folder
from core.data.split import draw_of, split
from core.errors import BadData, BadImage
from core.intake.archive import store_upload
from core.jobs.job import Run
from core.results.answers import Evaluation
from dashboard import phone
from dashboard.components.webcam import webcam
from dashboard.text import say

REFRESH = 0.5
"""Seconds between two looks for what a phone has sent."""
NO_WAY = (
    "Phones cannot reach this page: Thaw listens on this computer only. Start it as the README says under “In class”, "
    "in a network that you trust."
)
SCAN_IT = "Scan this with a phone in the same network, and take a picture with it."


def choose_picture(run: Run, evaluation: Evaluation) -> Path | None:
    """A choice of the way, and what it needs; None until there is a picture."""
    way = st.segmented_control(
        "Picture from",
        list(WAYS),
        default="held out",
        required=True,
        format_func=lambda name: WAYS[name][0],
        key=f"try-way-{run.id}",
        label_visibility="collapsed",
    )
    return WAYS[way or "held out"][1](run, evaluation)


def _held_out(run: Run, evaluation: Evaluation) -> Path | None:
    """One of the validation pictures, the surest mistakes first."""
    listed = [*evaluation.mistakes(), *evaluation.narrow()]
    names = {str(one.path): f"{evaluation.classes[one.label]} · {one.path.name}" for one in listed}
    wrong = {str(one.path) for one in evaluation.mistakes()}
    named = st.query_params.get("picture")
    key = f"try-picture-{run.id}"
    if named in names and st.session_state.get(f"{key}-named") != named:
        st.session_state[key] = st.session_state[f"{key}-named"] = named
    chosen = st.selectbox(
        "Picture",
        list(names),
        format_func=lambda path: names[path] + (" · taken for another" if path in wrong else ""),
        key=key,
    )
    return Path(chosen) if chosen else None


def _trained_on(run: Run, evaluation: Evaluation) -> Path | None:
    """One of the training pictures, class after class; where it looks there may be what it learnt by heart."""
    try:
        run.demand_training_pictures()
        listed = split(read_image_folder(Path(run.recipe.data)), draw_of(run.recipe)).train
    except (BadData, OSError) as error:
        say("error", str(error))
        return None
    names = {str(one.path): f"{evaluation.classes[one.label]} · {one.path.name}" for one in listed}
    chosen = st.selectbox("Picture", list(names), format_func=names.__getitem__, key=f"try-trained-{run.id}")
    return Path(chosen) if chosen else None


def _uploaded(run: Run, _evaluation: Evaluation) -> Path | None:
    file = st.file_uploader("A picture", key=f"try-upload-{run.id}")
    return kept(file.getvalue(), file.name) if file else None


def _taken(run: Run, _evaluation: Evaluation) -> Path | None:
    taken = webcam(key=f"try-camera-{run.id}", pictures=1, every=0.1)
    key = f"try-taken-{run.id}"
    if taken:
        st.session_state[key] = kept(taken[-1], "camera.jpg")
    picture: Path | None = st.session_state.get(key)
    if picture is None:
        st.caption("Hold a thing before the camera and press the button.")
    return picture


def _from_phone(run: Run, _evaluation: Evaluation) -> Path | None:
    """What the phone has sent last that scanned the code."""
    code = st.session_state.setdefault("phone-code", phone.new_code())
    phone.open_code(code)
    address = phone.address(code)
    if address is None:
        st.info(NO_WAY, icon=":material/smartphone:")
        return None
    key = f"try-phone-{run.id}"
    st.session_state[key] = phone.newest(code)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.image(phone.as_squares(address), width=160)
        with st.container():
            st.caption(SCAN_IT)
            st.code(address, language=None)
            st.fragment(_look, run_every=REFRESH)(code, key)
    sent: Path | None = st.session_state[key]
    return sent


def _look(code: str, key: str) -> None:
    """Draw the page again once the phone has sent another picture."""
    if phone.newest(code) != st.session_state.get(key):
        st.rerun()


def kept(content: bytes, name: str) -> Path | None:
    """A picture from a browser, kept among the uploads for an hour; None, with a sentence, where it is none."""
    folder = home.uploads_folder() / hashlib.sha256(content).hexdigest()[:16]
    if not folder.is_dir():
        try:
            decode(content, name)
        except BadImage as error:
            say("error", str(error))
            return None
        partial = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}")
        store_upload(partial, [(name, content)])
        partial.rename(folder)
    return folder / "0"


WAYS: dict[str, tuple[str, Callable[[Run, Evaluation], Path | None]]] = {
    "held out": ("A held-out picture", _held_out),
    "trained": ("A training picture", _trained_on),
    "upload": ("Upload", _uploaded),
    "camera": ("Camera", _taken),
    "phone": ("Phone", _from_phone),
}
"""What to call each way, and what asks for the picture."""
