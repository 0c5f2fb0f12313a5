"""Streamlit's server, which also obeys: `python -m tests.browser.serve run …` is `python -m streamlit run …`.

For each byte on standard input it waits until no page is open and no script runs, forgets what scripts have cached, and
writes a line to standard output: IDLE, or what still goes on. All else that is printed goes to standard error.
"""

import os
import sys
import threading
import time
from typing import TextIO

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner_utils.script_run_context import SCRIPT_RUN_CONTEXT_ATTR_NAME
from streamlit.web.cli import main

IDLE = "idle"
PATIENCE = 20.0
"""Seconds to wait for pages that close and scripts that end."""


def obey(answers: TextIO) -> None:
    """Read without Python's own buffer, which would be locked when the server ends."""
    while os.read(0, 1):
        print(_settle(), file=answers, flush=True)


def _settle() -> str:
    deadline = time.monotonic() + PATIENCE
    while (going_on := _going_on()) != IDLE and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    st.cache_data.clear()
    return going_on


def _going_on() -> str:
    """Pages are asked after first: once none is open, no script begins.

    A script that has not begun when its page closes is never run; one that has begun is known by its thread's context.
    """
    if runtime.get_instance().state == runtime.RuntimeState.ONE_OR_MORE_SESSIONS_CONNECTED:
        return "a page is open"
    running = [thread.name for thread in threading.enumerate() if getattr(thread, SCRIPT_RUN_CONTEXT_ATTR_NAME, None)]
    return f"a script runs: {running}" if running else IDLE


if __name__ == "__main__":
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    threading.Thread(target=obey, args=(answers,), daemon=True).start()
    main()
