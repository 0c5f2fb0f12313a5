"""Pictures that hurt: those whose class is doubtful, and what tells classes apart without being the thing itself."""

from pathlib import Path

import streamlit as st

from core.jobs.job import Run
from core.jobs.picture_kinds import SHORTCUTS, DataArguments
from core.jobs.run_kinds import DOUBTS
from core.messages import Message
from core.training.plan import pictures_question
from dashboard import job_progress, picture_sets
from dashboard.results.answer_grid import SIDE, WIDTH, offer_mending, pictures_now

SHOWN, MOST_SHORTCUTS = 12, 3
BEWARE = "A network can learn that instead of the thing itself. Pictures from elsewhere show whether it did."
NO_SHORTCUT = "Size, brightness, sharpness, border and type of file alone tell no class from the others."
EXPLAINED = (
    "A simple classifier, on what pretraining sees, has looked at all other pictures and then at this one. These are "
    "the pictures that look most like another class: wrong labels come first here, and hard but right ones beside them."
)


def show_doubts(run: Run) -> None:
    """Cards of the doubtful ones, and sentences about shortcuts."""
    data = Path(run.recipe.data)
    shortcuts = job_progress.result_of(SHORTCUTS, DataArguments(data=data), True, "")
    if shortcuts is not None:
        for one in shortcuts["shortcuts"][:MOST_SHORTCUTS]:
            st.text(f"• {Message.parse(one['sentence'])}")
        st.caption(BEWARE if shortcuts["shortcuts"] else NO_SHORTCUT)
    found = job_progress.result_of(DOUBTS, pictures_question(run.recipe), True, "")
    if found is None:
        return
    st.caption(EXPLAINED)
    doubts = found["doubts"][:SHOWN]
    if not doubts:
        st.info("No picture's class is doubtful.", icon=":material/check_circle:")
    now = pictures_now(run)
    with st.container(horizontal=True, gap="small"):
        for doubt in doubts:
            with st.container(width=WIDTH):
                path, own, said = Path(doubt["path"]), *(found["classes"][doubt[name]] for name in ("label", "said"))
                st.image(picture_sets.thumbnail_url(path, SIDE), width="stretch")
                st.text(f"{own}; perhaps {said}")
                picture = now.get(path)
                if picture is None or picture.label != own:
                    st.caption("Mended since.")
                    continue
                offer_mending(run, picture, said, f"doubt-{path}")
