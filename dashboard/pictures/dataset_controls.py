"""A data set's name, note and end."""

import streamlit as st

from core.data import datasets
from core.data.scan import Scan
from core.jobs import results
from core.jobs.job import Run
from dashboard import draft, picture_sets
from dashboard.services import store


def rename_popover(data: datasets.DataSet) -> None:
    """Name and source."""
    with st.popover("Name and source", icon=":material/edit_note:"), st.form(f"about-{data.folder.name}", border=False):
        name = st.text_input("Name", data.name, max_chars=120)
        source = st.text_area("Where the pictures come from", data.source, max_chars=2000)
        if st.form_submit_button("Save", type="primary") and name.strip():
            datasets.rename_dataset(data, name.strip(), source.strip())
            picture_sets.name_of.clear()
            st.rerun()


def delete_popover(data: datasets.DataSet) -> None:
    """After a confirmation that lists the runs which were made with it."""
    with st.popover("Delete", icon=":material/delete:", key=f"delete-{data.folder.name}"):
        runs = [run for run in store().runs.all() if run.recipe.data == str(data.folder)]
        live = [run for run in runs if run.live]
        kept = "The files stay where they are." if data.root else "The pictures are deleted; this cannot be undone."
        st.text(f"Delete “{data.name}”?\n{kept}\n{_about(runs)}")
        if live:
            st.text(f"Stop run {live[0].id} first: it is {live[0].status}.")
        if st.button("Delete the pictures", type="primary", disabled=bool(live), key="data.delete"):
            results.delete_dataset(store(), data, keep_record=bool(runs))
            draft.current()["data"] = draft.DEFAULT_DATA
            st.rerun()


def _about(runs: list[Run]) -> str:
    if not runs:
        return "No run was made with it."
    named = ", ".join(str(run.id) for run in runs[:20]) + (" …" if len(runs) > 20 else "")
    return f"Made with it: run{'s' if len(runs) > 1 else ''} {named}. Name and source are kept for them."


def split_choice(data: datasets.DataSet, scanned: Scan) -> None:
    """Whether the split that the pictures bring along is used."""
    drawn = datasets.read_edits(data.folder).draw_split
    if not drawn and not any(picture.split == "val" for picture in scanned.pictures):
        return
    choice = st.segmented_control(
        "Validation pictures",
        ["their own val/", "drawn anew"],
        default="drawn anew" if drawn else "their own val/",
        required=True,
        key=f"split-{data.folder.name}-{drawn}",
    )
    if (choice == "drawn anew") != drawn:
        datasets.set_draw_split(data.folder, not drawn)
        st.rerun()


def show_skipped(data: datasets.DataSet) -> None:
    """What was left out when the pictures came in, by name and reason."""
    if not data.skipped:
        return
    count = len(data.skipped) + data.more_skipped
    with st.expander(f"{count:,} files were left out when the pictures came in", icon=":material/rule:"):
        st.dataframe(
            {"File": [one.name for one in data.skipped], "Why": [str(one.reason) for one in data.skipped]},
            hide_index=True,
            height="content" if len(data.skipped) < 10 else 390,
        )
        if data.more_skipped:
            st.caption(f"And {data.more_skipped:,} more.")
