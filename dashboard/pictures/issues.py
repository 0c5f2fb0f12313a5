"""What to see to before training, each with a remedy that is one click away."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import streamlit as st

from core.data import datasets
from core.data.scan import Scan
from core.jobs.picture_kinds import INSPECT, InspectArguments
from core.messages import Message
from dashboard import draft, job_progress, picture_sets

BY_ITSELF = 5_000
"""Pictures that are looked at without being asked for."""


def inspection(found: Scan, digest: str) -> Mapping[str, Any] | None:
    """What a look at every picture has brought; None, with a bar on the page, while it goes on."""
    own = draft.current()
    given = InspectArguments(data=Path(own.data_path()), **asdict(own.draw()))
    ask = f"Look at all {len(found.pictures):,} pictures for damage and copies"
    return job_progress.result_of(INSPECT, given, len(found.pictures) <= BY_ITSELF, ask, digest)


def show_issues(found: Scan, seen: Mapping[str, Any]) -> None:
    """A row for each issue; that there is none is said too."""
    if not seen["issues"]:
        st.caption(":material/check_circle: No damaged pictures, no copies, enough of every class.")
    if seen["infos"]:
        st.caption(sizes([(width, height) for width, height, problem in seen["infos"].values() if not problem]))
    for number, issue in enumerate(seen["issues"]):
        text, remedy = (str(Message.parse(issue[name])) for name in ("text", "remedy"))
        with st.container(border=True, gap="small"):
            st.text(text)
            with st.container(horizontal=True, gap="small"):
                if issue["pictures"] and st.button("Show", icon=":material/visibility:", key=f"show-{number}"):
                    st.session_state["data.only"] = (text, frozenset(issue["pictures"]))
                if st.button(remedy, icon=":material/healing:", key=f"mend-{number}"):
                    paths = set(issue["leave_out"])
                    leave_out(picture.file for picture in found.pictures if str(picture.path) in paths)


def sizes(known: list[tuple[int, int]]) -> str:
    """How large pictures are, in a sentence: the smallest, the one in the middle, the largest."""
    ordered = sorted(known, key=lambda size: size[0] * size[1])
    if not ordered:
        return ""
    smallest, middle, largest = (f"{w:,} × {h:,}" for w, h in (ordered[0], ordered[len(ordered) // 2], ordered[-1]))
    if smallest == largest:
        return f"All are {smallest} pixels."
    return f"Sizes: {smallest} to {largest} pixels, {middle} in the middle."


def leave_out(chosen: Iterable[str]) -> None:
    """Take pictures out of the data set, which is made one where it is only a folder so far."""
    datasets.leave_out(own_folder(), chosen)
    st.session_state.pop("data.only", None)
    st.rerun()


def own_folder() -> Path:
    """The data set that takes the changes to the chosen pictures."""
    return picture_sets.own_of(Path(draft.current().data_path()))
