"""Faults as the page says them."""

import pytest

from core.errors import Fault
from core.recipe import EXPECTED
from dashboard.field_labels import LABELS, in_words


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("optimizer.lr", -1.0, "must be above 0"), "Learning rate -1: must be above 0."),
        (Fault("epochs", 0, "must be more"), "Epochs 0: must be more."),
        (Fault("trainable", [], "…"), "Every block is frozen, so there is nothing to train. Click a block to thaw it."),
        (Fault("data", "/x", "/x is not a folder; give another."), "/x is not a folder; give another."),
        (Fault("data", "", "…"), "Choose pictures: a sample, or the path of a folder."),
    ],
)
def test_sentences(fault: Fault, sentence: str) -> None:
    assert in_words(fault) == sentence


def test_every_field_has_a_label() -> None:
    without_a_widget = {"version", "device", "precision", "optimizer", "optimizer.name", "penalties"}
    assert set(EXPECTED) - without_a_widget == set(LABELS)
