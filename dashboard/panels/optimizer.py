"""How the weights are changed: optimizer and penalties."""

import streamlit as st

from dashboard.draft import bind, current


def choose() -> None:
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
