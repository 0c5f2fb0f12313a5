"""How a run goes: how long, in what batches, over which variations of the pictures, on what machine."""

import streamlit as st

from dashboard.draft import bind, current


def choose() -> None:
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
