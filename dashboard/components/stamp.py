"""Tell a component's script which of two calls is the newer one.

Streamlit calls the script after `import()` of it, and a browser may resolve two of these in the wrong order: in
Chromium every other time, when new data come while the script is still being loaded. The older data would then stay on
the screen for good. So data carry a stamp, and scripts pass over what is older than what they have drawn.
"""

import time
from collections.abc import Mapping
from typing import Any

import streamlit as st


def stamped(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    """`data` with the time, in seconds, at which this session first had them for the component `key`.

    The same data keep their stamp, so that Streamlit has nothing to redraw.
    """
    slot = f"{key}.stamped"
    last: dict[str, Any] = st.session_state.get(slot, {})
    if {name: value for name, value in last.items() if name != "stamp"} != data:
        last = {**data, "stamp": time.time()}
        st.session_state[slot] = last
    return last
