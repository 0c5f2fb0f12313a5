"""Choose a pretrained network, and see its figures."""

import streamlit as st

from core.backbones import catalogue
from core.backbones.catalogue import Backbone
from dashboard.draft import bind, current
from dashboard.parts import byte_size, short

STATES = {
    "bundled": "comes with Thaw",
    "cached": "on this computer",
    "download": "to be downloaded",
    "none": "no pretrained weights",
}


def choose() -> None:
    """The widgets: one of all backbones, searched by typing, and what it starts from."""
    draft = current()
    st.session_state["backbone"] = draft.backbone
    st.selectbox(
        "Backbone",
        list(dict.fromkeys((*catalogue.BUNDLED, *catalogue.names()))),
        format_func=_title,
        key="backbone",
        on_change=_take_backbone,
        help="A network that has already learnt to see, on 1.3 million photos. Type to search.",
    )
    _figures(draft.chosen_backbone())
    st.segmented_control(
        "Start from",
        ["pretrained", "random"],
        format_func={"pretrained": "Pretrained weights", "random": "Random"}.__getitem__,
        required=True,
        width="stretch",
        help="Pretrained weights have learnt to see already; random ones have to learn everything from your pictures.",
        **bind("weights"),
    )


def _figures(backbone: Backbone) -> None:
    weights = backbone.weights
    state = STATES[catalogue.weights_state(backbone)]
    if weights and catalogue.weights_state(backbone) == "download":
        state += f" ({byte_size(weights.size)})"
    is_pretrained = current().weights == "pretrained"
    accuracy = f" · {weights.accuracy:.1f} % on ImageNet" if weights and is_pretrained else ""
    if accuracy and state == STATES["bundled"]:
        accuracy += " with torchvision's weights"
    st.caption(f"{short(backbone.parameters)} parameters · {backbone.preprocessing.crop} px{accuracy} · {state}")


def _title(name: str) -> str:
    backbone = catalogue.get(name)
    note = {"bundled": " · bundled", "cached": " · on this computer"}.get(catalogue.weights_state(backbone), "")
    return f"{backbone.title}{note}"


def _take_backbone() -> None:
    """Another network has other blocks: start again with the head alone."""
    draft = current()
    draft.backbone = st.session_state["backbone"]
    draft.layers = catalogue.select(draft.chosen_backbone(), ["head"])
    draft.image_size = None
