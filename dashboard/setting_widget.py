"""The widget of a recipe's setting, made of its description (`core.recipe_fields`) and tied to the draft.

A widget takes any value. What is not allowed is said by the recipe's own check, beside the Train button.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st

from core.recipe_fields import Kind, Setting
from dashboard.draft import bind, current

SIDE_BY_SIDE = 20
"""Letters that all names of a choice, of which there are up to four, may have to stand side by side in the sidebar."""
OTHERS: dict[str, Any] = {"accept_new_options": True, "placeholder": "Choose, or type"}
"""Of a list that takes other text too."""


def setting_widget(setting: Setting, **more: Any) -> None:
    """The widget for a setting of any kind but "text". `more` goes to Streamlit's command, such as a placeholder."""
    WIDGETS[setting.kind](setting, {"help": setting.help} | more | bind(setting.path))


def _number(setting: Setting, more: dict[str, Any]) -> None:
    st.number_input(setting.title, step=setting.step, format="%g", **more)


def _count(setting: Setting, more: dict[str, Any]) -> None:
    """An emptied box stands for no value, where the setting may be left out."""
    empty: dict[str, Any] = {"value": None} if setting.default is None else {}
    st.number_input(setting.title, step=1, **empty, **more)


def _switch(setting: Setting, more: dict[str, Any]) -> None:
    st.toggle(setting.title, **more)


def _choice(setting: Setting, more: dict[str, Any]) -> None:
    """All names side by side; in a list where they are long, the setting is an advanced one, or takes other text."""
    labels = {name: choice.label for name, choice in setting.choices.items()}
    if setting.open:
        value = current()[setting.path]
        names = list(labels | {value: value})
        st.selectbox(setting.title, names, format_func=lambda name: labels.get(name, name), **OTHERS, **more)
    elif setting.about.advanced or len("".join(labels.values())) > SIDE_BY_SIDE:
        st.selectbox(setting.title, list(labels), format_func=labels.__getitem__, **more)
    else:
        buttons: dict[str, Any] = {"required": True, "width": "stretch"}
        st.segmented_control(setting.title, list(labels), format_func=labels.__getitem__, **buttons, **more)


def _pair(setting: Setting, _more: dict[str, Any]) -> None:
    for part in setting.parts:
        setting_widget(part)


WIDGETS: dict[Kind, Callable[[Setting, dict[str, Any]], None]] = {
    "number": _number,
    "count": _count,
    "switch": _switch,
    "choice": _choice,
    "pair": _pair,
}
"""Settings of the kind "text" have widgets of their own on their pages."""
