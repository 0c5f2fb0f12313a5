"""Pictures from the camera, a class at a time."""

import time
from collections.abc import Generator, Iterator
from pathlib import Path

import streamlit as st

from core.data import stored
from core.data.limits import limits
from core.errors import ThawError
from core.events import Progress
from core.intake.create import create, extend
from core.intake.incoming import Incoming, Member
from core.runs import home
from dashboard.components.webcam import webcam
from dashboard.panels import tasks
from dashboard.parts import say

BURST, EVERY = 10, 0.2
"""Pictures of a press, and seconds between two of them: time to turn the thing a little."""


def choose(into: str | None) -> None:
    """A class's name and the camera; every burst goes into the data set `into`, or into a new one."""
    label = st.text_input("Class that the camera sees", key="data.seen", max_chars=limits().name).strip()
    taken = webcam(key="data.camera", pictures=BURST, every=EVERY, disabled=not label)
    if not label:
        st.caption("Name a class, such as “cup”; then hold it before the camera.")
    elif taken:
        take_in(burst(label, taken), into)


def burst(label: str, taken: list[bytes]) -> Iterator[Incoming]:
    """The pictures of a press, as members of the class."""
    at = time.strftime("%H.%M.%S")
    for number, content in enumerate(taken, start=1):
        yield Member(f"{as_folder(label)}/{at}-{number}.jpg", lambda content=content: content, 1.0)  # type: ignore[misc]


def as_folder(label: str) -> str:
    """A class's name as one part of a path: a slash becomes a sign that looks like one."""
    return label.replace("/", "\N{DIVISION SLASH}")


def take_in(incoming: Iterator[Incoming], into: str | None) -> None:
    """Take pictures in here and now: a burst is small."""
    if into:
        job = extend(stored.read(Path(into)), incoming)
    else:
        job = create(home.data_folder(), "Camera", "taken with the camera", incoming)
    try:
        tasks.choose(str(finished(job).folder))
    except ThawError as error:
        say("error", str(error))
        return
    st.rerun()


def finished(job: Generator[Progress, None, stored.DataSet]) -> stored.DataSet:
    """What the job returns."""
    while True:
        try:
            next(job)
        except StopIteration as end:
            made: stored.DataSet = end.value
            return made
