"""What people write on runs: a star, a name, a note, tags. And the bin, from which runs can be taken back."""

import streamlit as st

from core.jobs.job import Run
from dashboard.services import store


def star_button(chosen: list[Run]) -> None:
    """A star on all the ticked runs, or off when all have one."""
    all_starred = bool(chosen) and all(run.starred for run in chosen)
    if st.button("Unstar" if all_starred else "Star", icon=":material/star:", disabled=not chosen, key="star"):
        for run in chosen:
            store().runs.annotate(run.id, starred=not all_starred)
        st.rerun()


def name_popover(chosen: list[Run]) -> None:
    """Name, note and tags of one run."""
    with st.popover("Name and note", icon=":material/edit_note:", disabled=len(chosen) != 1):
        if len(chosen) != 1:
            return
        (run,) = chosen
        known = sorted({tag for other in store().runs.all() for tag in other.tags})
        with st.form(f"labels-{run.id}", border=False):
            name = st.text_input("Name", run.name, max_chars=200)
            note = st.text_area("Note", run.note, max_chars=5000)
            tags = st.multiselect("Tags", known, run.tags, accept_new_options=True)
            if st.form_submit_button("Save", type="primary"):
                store().runs.annotate(
                    run.id, name=name.strip(), note=note.strip(), tags=tuple(tag.strip() for tag in tags)
                )
                st.rerun()


def delete_popover(chosen: list[Run]) -> None:
    """Into the bin, after a confirmation; a run that is at work or waits has to be stopped first."""
    ended = [run.id for run in chosen if not run.live]
    # Another key is another popover: it closes once the runs are gone.
    key = f"delete-{'-'.join(map(str, ended))}"
    with st.popover("Delete", icon=":material/delete:", disabled=not ended, key=key):
        if not ended:
            return
        runs = f"run {ended[0]}" if len(ended) == 1 else f"{len(ended)} runs"
        st.text(f"Delete {runs}, with curves and weights?\nFor an hour, this can be undone.")
        if st.button(f"Delete {runs}", type="primary", key="delete"):
            store().runs.delete(ended)
            st.session_state["deleted runs"] = ended
            st.rerun()


def deleted() -> list[int]:
    """The runs that this session deleted last."""
    numbers: list[int] = st.session_state.get("deleted runs", [])
    return numbers


def undo_deletion() -> None:
    """The way back from the last deletion."""
    if not deleted():
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        numbers = ", ".join(str(number) for number in deleted())
        st.text(f"Deleted: run{'s' if len(deleted()) > 1 else ''} {numbers}.")
        if st.button("Undo", icon=":material/undo:", key="undo"):
            store().runs.undelete(deleted())
            st.session_state["deleted runs"] = []
            st.rerun()
