"""The camera of the person at the page: every press of a button takes a burst of pictures with it.

`st.camera_input` takes one picture a press; a class to be told apart needs dozens.
"""

import base64
from collections.abc import Iterator
from pathlib import Path

import streamlit as st

from dashboard.components.stamp import stamped

_HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "thaw.webcam",
    html="""
        <div class="webcam">
          <div class="screen">
            <span>The camera is off.</span>
            <video muted playsinline hidden aria-label="What the camera sees, mirrored"></video>
          </div>
          <div class="buttons">
            <button type="button" class="take" hidden></button>
            <button type="button" class="power"></button>
          </div>
          <p class="status" aria-live="polite"></p>
        </div>
    """,
    css=(_HERE / "webcam.css").read_text(encoding="utf-8"),
    js=(_HERE / "webcam.js").read_text(encoding="utf-8"),
)
_PREFIX = "data:image/jpeg;base64,"
_LONGEST_URL = 2_000_000


def webcam(*, key: str, pictures: int, every: float, disabled: bool = False) -> list[bytes]:
    """Show the camera, once it is turned on, and a button that takes `pictures` JPEGs, one every `every` seconds.

    Returns those that came since the last run of the script, none of them twice; mostly that is an empty list. They
    are what a browser sent, and may not be pictures at all. With `disabled`, the camera can only be turned off.
    """
    answered, arrived = f"{key}.answered", f"{key}.arrived"
    st.session_state.setdefault(answered, 0)

    def receive() -> None:
        # Of triggers that wait for a busy script, Streamlit keeps only the newest: each burst brings along those before
        # it that were not answered yet, and the numbers tell which of them are new. They are kept until a script asks
        # for them, since this run may be cut short by the next before it does.
        for number, burst in bursts_in(st.session_state[key].get("bursts"), at_most=pictures):
            if number > st.session_state[answered]:
                st.session_state[answered] = number
                st.session_state.setdefault(arrived, []).extend(burst)

    data = {"pictures": pictures, "every": every, "disabled": disabled, "answered": st.session_state[answered]}
    _mount(data=stamped(data, key), key=key, on_bursts_change=receive)
    taken: list[bytes] = st.session_state.pop(arrived, [])
    return taken


def bursts_in(sent: object, *, at_most: int) -> Iterator[tuple[int, list[bytes]]]:
    """The bursts in what the browser sent, [number, data URLs] each; one that is not as agreed has no pictures."""
    for burst in sent if isinstance(sent, list) else []:
        match burst:
            case [int(number), list(urls)]:
                yield number, _jpegs(urls) if len(urls) <= at_most else []


def _jpegs(urls: list[object]) -> list[bytes]:
    try:
        return [_jpeg(url) for url in urls]
    except ValueError:
        return []


def _jpeg(url: object) -> bytes:
    if not isinstance(url, str) or len(url) > _LONGEST_URL or not url.startswith(_PREFIX):
        raise ValueError("not the data URL of a JPEG of at most 2 MB")
    return base64.b64decode(url.removeprefix(_PREFIX), validate=True)
