"""The settings of the next run: backbone, optimizer, penalties, and how it goes."""

import streamlit as st

from core.backbones import catalogue, pretrained
from core.backbones.catalogue import Backbone
from dashboard.draft import bind, current
from dashboard.text import byte_size, short

STATES = {
    "bundled": "comes with Thaw",
    "cached": "on this computer",
    "download": "to be downloaded",
    "none": "no pretrained weights",
}


def backbone_controls() -> None:
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
    state = STATES[pretrained.weights_state(backbone)]
    if weights and pretrained.weights_state(backbone) == "download":
        state += f" ({byte_size(weights.size)})"
    is_pretrained = current().weights == "pretrained"
    accuracy = f" · {weights.accuracy:.1f} % on ImageNet" if weights and is_pretrained else ""
    if accuracy and state == STATES["bundled"]:
        accuracy += " with torchvision's weights"
    st.caption(f"{short(backbone.parameters)} parameters · {backbone.preprocessing.crop} px{accuracy} · {state}")


def _title(name: str) -> str:
    backbone = catalogue.get(name)
    note = {"bundled": " · bundled", "cached": " · on this computer"}.get(pretrained.weights_state(backbone), "")
    return f"{backbone.title}{note}"


def _take_backbone() -> None:
    """Another network has other blocks: start again with the head alone."""
    draft = current()
    draft.backbone = st.session_state["backbone"]
    draft.layers = catalogue.select(draft.chosen_backbone(), ["head"])
    draft.image_size = None


def optimizer_controls() -> None:
    """The widgets, each with a sentence of help."""
    st.segmented_control(
        "Optimizer",
        ["adam", "sgd"],
        format_func={"adam": "Adam", "sgd": "SGD"}.__getitem__,
        required=True,
        width="stretch",
        help="Adam adapts the step of every weight; SGD takes the same step for all, with momentum.",
        **bind("optimizer"),
    )
    if current().optimizer == "adam":
        _adam()
    else:
        _sgd()
    _penalties()


def _adam() -> None:
    _number("Learning rate", "adam_lr", "How far each step goes. Too high diverges, too low learns nothing.", 1e-4)
    with st.expander("More of Adam"):
        _number("beta 1", "beta1", "How long gradients are remembered, from 0 up to 1.", 0.01)
        _number("beta 2", "beta2", "How long squared gradients are remembered, from 0 up to 1.", 0.001)
        _number("eps", "eps", "A small number that keeps the division by squared gradients finite.", 1e-8)


def _sgd() -> None:
    _number("Learning rate", "sgd_lr", "How far each step goes. Too high diverges, too low learns nothing.", 1e-3)
    _number("Momentum", "momentum", "Share of the last step that is added to the next, from 0 up to 1.", 0.05)
    st.toggle("Nesterov", help="Look ahead along the momentum before taking the gradient.", **bind("nesterov"))


def _penalties() -> None:
    left, right = st.columns(2)
    with left:
        _number("L1 penalty", "l1", "Factor of the sum of absolute weights: pushes weights to exactly zero.", 1e-4)
    with right:
        _number("L2 penalty", "l2", "Factor of the sum of squared weights: keeps all weights small.", 1e-4)


def _number(label: str, name: str, sentence: str, step: float) -> None:
    """A number of any size; what is not allowed is said by the recipe's own check, next to the Train button."""
    st.number_input(label, step=step, format="%g", help=sentence, **bind(name))


def schedule_controls() -> None:
    """The widgets, each with a sentence of help; what is not allowed is said next to the Train button."""
    _length()
    _variation()
    _machine()


def _length() -> None:
    left, right = st.columns(2)
    left.number_input("Epochs", step=1, help="How often all training pictures are seen.", **bind("epochs"))
    right.number_input("Batch size", step=1, help="Pictures per step.", **bind("batch_size"))
    left.number_input("Seed", step=1, help="The same seed gives the same run.", **bind("seed"))
    right.number_input(
        "Image size",
        step=1,
        value=None,
        placeholder=f"{current().chosen_backbone().preprocessing.crop}",
        help="Side of the square that the network sees, in pixels; smaller is faster. Empty: the weights' own.",
        **bind("image_size"),
    )


def _variation() -> None:
    draft = current()
    st.segmented_control(
        "Variation",
        ["none", "flip", "standard"],
        format_func={"none": "None", "flip": "Flip", "standard": "Standard"}.__getitem__,
        required=True,
        width="stretch",
        help="Vary training pictures, so that there seem to be more: mirrored, or with crops and colours varied too.",
        **bind("augment"),
    )
    if draft.augment != "none":
        st.number_input(
            "Variations kept", step=1, help="Of each picture; 0 makes new ones every epoch.", **bind("views")
        )


def _machine() -> None:
    with st.expander("Machine"):
        st.selectbox(
            "Device",
            ["auto", "cpu", "cuda", "mps"],
            format_func={"auto": "Automatic", "cpu": "CPU", "cuda": "NVIDIA GPU", "mps": "Apple GPU"}.__getitem__,
            help="What computes. Automatic takes a GPU where there is one.",
            **bind("device"),
        )
        st.selectbox(
            "Precision",
            ["auto", "fp32", "bf16"],
            format_func={"auto": "Automatic", "fp32": "32 bits", "bf16": "bfloat16"}.__getitem__,
            help="How exact numbers are. bfloat16 is faster where the hardware has it; automatic finds out.",
            **bind("precision"),
        )
