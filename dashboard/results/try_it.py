"""Try a run on a picture: what it says, how sure, where it looked, and whether it knows such pictures at all."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import streamlit as st
from PIL import Image, ImageEnhance

from core.jobs.job import Run
from core.jobs.run_kinds import ASK, AskArguments
from core.results.answers import Evaluation
from dashboard import job_progress, picture_sets
from dashboard.results.asked_picture import choose_picture
from dashboard.results.two_runs import rivals
from dashboard.text import describe_recipe, plain

MOST_OTHERS, NAMED = 3, 5
"""Runs that answer beside this one, and classes that are named."""
DARK = 0.15
"""How bright a place is that said nothing for the class, 0…1."""
ALARMS = 0.05
"""The share of false alarms that the dial begins with."""
TITLES = {"after": "Where it looked", "before": "Before training"}
"""Of the heat maps of an answer."""


def show_try_it(run: Run, evaluation: Evaluation) -> None:
    """A choice of picture, of class and of other runs, and what each run says."""
    picture = choose_picture(run, evaluation)
    if picture is None:
        return
    others, label, alarms = _choices(run, evaluation)
    asked = [run, *others]
    for column, one in zip(st.columns(len(asked)), asked, strict=True):
        with column:
            _show_answer(one, picture, label if one is run else None, alarms)


def _choices(run: Run, evaluation: Evaluation) -> tuple[list[Run], int | None, float]:
    """The other runs, the class whose places are lit, and how many false alarms are allowed."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        classes: Sequence[int | None] = [None, *range(len(evaluation.classes))]
        label = st.selectbox(
            "Where it looked for",
            classes,
            format_func=lambda one: "what it says" if one is None else evaluation.classes[one],
            key=f"try-label-{run.id}",
            width=220,
        )
        known = {other.id: other for other in rivals(run)}
        chosen = st.multiselect(
            "Beside it",
            list(known),
            format_func=lambda number: f"Run {number} · {describe_recipe(known[number].recipe)}",
            max_selections=MOST_OTHERS,
            placeholder="Other runs on these pictures",
            disabled=not known,
            key=f"try-others-{run.id}",
        )
        alarms = st.slider(
            "“I don't know”",
            0,
            30,
            round(100 * ALARMS),
            format="%d %%",
            key=f"try-alarms-{run.id}",
            width=220,
            help="A picture is unknown when fewer held-out pictures than this are as unlike the training pictures.",
        )
    return [known[number] for number in chosen], label, alarms / 100


def _show_answer(run: Run, picture: Path, label: int | None, alarms: float) -> None:
    st.text(f"Run {run.id}")
    st.caption(plain(describe_recipe(run.recipe)))
    found = job_progress.result_of(ASK, AskArguments(run=run.id, picture=picture, label=label), True, "")
    if found is None:
        return
    st.text(verdict(found, alarms), width="stretch")
    square = Path(found["square"])
    lights = {TITLES[name]: lit(square, found["maps"][name]) for name in TITLES if name in found["maps"]}
    pictures: dict[str, Path | bytes] = {"As it was shown": square, **lights}
    for column, (title, image) in zip(st.columns(len(pictures)), pictures.items(), strict=True):
        column.image(image, width="stretch")
        column.caption(title if image is square else f"{title}, for {plain(found['classes'][found['label']])}")
    for name, share in likeliest(found)[:NAMED]:
        st.progress(share, f"{plain(name)} · {share:.0%}")
    if found["nearest"]:
        st.caption("The training pictures most like it")
        for column, path in zip(st.columns(len(found["nearest"])), found["nearest"], strict=True):
            column.image(picture_sets.thumbnail_url(Path(path), 120), width="stretch")


def likeliest(found: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The classes with their shares, the likeliest first."""
    return sorted(zip(found["classes"], found["shares"], strict=True), key=lambda pair: -pair[1])


def verdict(found: Mapping[str, Any], alarms: float) -> str:
    """What it says in a sentence; that it does not know, where the picture is unlike all that it was trained on."""
    name, share = likeliest(found)[0]
    rarity = found["rarity"]
    if rarity is not None and rarity < alarms:
        return (
            f"I don't know: this is unlike the pictures that I was trained on. If I had to choose: {name}, {share:.0%}."
        )
    return f"{name}, {share:.0%}"


def lit(square: Path, rows: Sequence[Sequence[float]]) -> bytes:
    """The square as PNG, bright where the network looked and dark elsewhere."""
    with Image.open(square) as image:
        bright = image.convert("RGB")
    places = Image.new("L", (len(rows[0]), len(rows)))
    places.putdata([round(255 * value) for row in rows for value in row])
    light = places.resize(bright.size, Image.Resampling.BICUBIC)
    file = BytesIO()
    Image.composite(bright, ImageEnhance.Brightness(bright).enhance(DARK), light).save(file, "PNG")
    return file.getvalue()
