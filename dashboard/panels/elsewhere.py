"""Pictures that are somewhere already: in a folder of the server, or with torchvision's data sets."""

import streamlit as st

from core.data import stored
from core.data.folder import look
from core.errors import ThawError
from core.intake.known import KNOWN
from core.runs import home, task
from core.runs.roots import demand_allowed, roots
from dashboard.panels import tasks
from dashboard.parts import plain, say

PER_CLASS = 100


def server() -> None:
    """A folder, used where it is, or an archive, below what the server allows."""
    if not roots():
        st.caption("Whoever starts Thaw can allow folders of this computer: THAW_DATA_ROOTS=/path/to/pictures")
        return
    st.caption(plain(f"Below {' or '.join(str(root) for root in roots())}"))
    given = st.text_input("Folder, or zip or tar archive", key="data.path", placeholder=str(roots()[0]))
    if not st.button("Use it", type="primary", disabled=not given, key="data.use", width="stretch"):
        return
    path = roots()[0] / given
    try:
        demand_allowed(path)
        if path.is_file():
            arguments = {"name": path.name.split(".")[0], "source": str(path), "file": str(path)}
            tasks.follow(task.start(task.new(), "archive", **arguments))
            st.rerun()
        look(path)
        tasks.choose(str(stored.adopt(home.data_folder(), path.name, path).folder))
    except ThawError as error:
        say("error", str(error))
        return
    st.rerun()


def known() -> None:
    """One of torchvision's data sets, downloaded."""
    name = st.selectbox(
        "torchvision's data sets", list(KNOWN), format_func=lambda key: KNOWN[key].title, key="data.known"
    )
    chosen = KNOWN[name]
    st.caption(
        f"{chosen.about}. {chosen.pictures:,} pictures in {chosen.classes} classes; {chosen.megabytes:,} MB to "
        f"download. Licence: {chosen.licence}."
    )
    per_class = st.number_input(
        "Pictures of each class", 0, value=PER_CLASS, step=50, key="data.per", help="At the most; 0 takes all."
    )
    if st.button("Download", type="primary", icon=":material/download:", key="data.get", width="stretch"):
        tasks.follow(task.start(task.new(), "known", name=name, per_class=per_class or None))
        st.rerun()
