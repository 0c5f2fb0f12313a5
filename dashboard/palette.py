"""The colours that mean something, the same on every page and in both themes; safe for the colour-blind.

Fills carry dark text (contrast above 7:1), so they need no second set for the dark theme. Curves are seen on white and
on near-black: their contrast with both is above 3:1.
"""

FROZEN = "#a8d8f0"
FROZEN_EDGE = "#2b83ba"
TRAINABLE = "#ffb35c"
TRAINABLE_EDGE = "#d9620b"
ON_BLOCK = "#10222e"
"""Text on a block, whatever its colour."""

SERIES = ("#5a63d8", "#17936f", "#c2478b", "#8c7a1f", "#d64545", "#9370db", "#3f8f8f", "#7f7f7f")
"""Runs that are compared, and classes, in this order: neither ice blue nor orange, which belong to blocks."""

LINE = "#7f7f7f"
"""Lines that say where something lies, such as the epoch that is kept."""

TRAINING = "#9370db"
VALIDATION = "#17936f"
TEST = "#3b7dd8"
RIGHT, WRONG = "#17936f", "#c2478b"
"""Fills behind counts of right and wrong answers, let through more or less."""
TERMS = {"cross_entropy": "#8c7a5b", "l1": "#c2478b", "l2": "#5b7f95"}
