"""A phone as the camera of a page on another screen: the page shows a code, and what the phone sends goes there.

A code names a folder among the uploads. It cannot be guessed, and is forgotten with the uploads, an hour after its last
use. The phone's page takes pictures for a code that is open, and shows nothing of Thaw's.
"""

import re
import secrets
import socket
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import segno
import streamlit as st

from core import files, home
from core.data.images import decode
from core.errors import BadImage
from dashboard.components.webcam import webcam
from dashboard.text import say

PATH = "phone"
CODE = re.compile("[A-Za-z0-9_-]{16}")
HERE_ONLY = ("localhost", "127.0.0.1", "::1")
SENT = "picture-*.jpg"
GONE = "This code is not open any more. Scan the one that the other screen shows now."
ARRIVED = "It is on the other screen. Take another one, if you like."


def new_code() -> str:
    """A code that nobody guesses."""
    return secrets.token_urlsafe(12)


def open_code(code: str) -> None:
    """Take what phones send for it, from now for as long as it is asked for."""
    folder = _folder(code)
    folder.mkdir(parents=True, exist_ok=True)
    folder.touch()


def newest(code: str) -> Path | None:
    """The picture that a phone has sent last."""
    return max(_folder(code).glob(SENT), default=None)


def address(code: str) -> str | None:
    """Where a phone sends pictures for the code; None where the server is reached from this computer only."""
    seen = urlsplit(st.context.url or "")
    host = seen.hostname or ""
    if host in HERE_ONLY:
        if (st.get_option("server.address") or "") in HERE_ONLY:
            return None
        host = _address_in_network() or ""
    port = f":{seen.port}" if seen.port else ""
    return f"{seen.scheme}://{host}{port}/{PATH}?code={code}" if host else None


def _address_in_network() -> str | None:
    """This computer's, as others in its network see it. Nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # An address for documentation: only the way to it is chosen.
        except OSError:
            return None
        name: str = probe.getsockname()[0]
    return name


def as_squares(text: str) -> bytes:
    """A QR code as PNG, black on white with the margin that readers need."""
    file = BytesIO()
    segno.make(text, error="m").save(file, kind="png", scale=8, border=4)
    return file.getvalue()


def phone_page() -> None:
    """What the phone shows."""
    code = st.query_params.get("code", "")
    if not CODE.fullmatch(code) or not _folder(code).is_dir():
        st.warning(GONE, icon=":material/qr_code:")
        return
    st.subheader("Show it to the network")
    for content in webcam(key="phone", pictures=1, every=0.1)[-1:]:
        try:
            decode(content, "the picture")
        except BadImage as error:
            say("error", str(error))
            return
        count = len(list(_folder(code).glob(SENT)))
        files.write_bytes(_folder(code) / SENT.replace("*", f"{count:06}"), content)
        st.session_state["phone-sent"] = True
    if st.session_state.get("phone-sent"):
        st.success(ARRIVED, icon=":material/check:")


def _folder(code: str) -> Path:
    return home.uploads_folder() / f"phone-{code}"
