"""Draw the validation images of a folder that does not bring its own."""

import random
from dataclasses import dataclass
from itertools import groupby

from core.data.scan import Example, ImageFolder
from core.messages import Message

NAMED = 5
"""Classes that a sentence names, before it counts the others."""


@dataclass(frozen=True)
class Split:
    """Training and validation images, and sentences about what the person should know of them."""

    train: tuple[Example, ...]
    val: tuple[Example, ...]
    notices: tuple[Message, ...]


def split(folder: ImageFolder, val_fraction: float, seed: int) -> Split:
    """Hold out `val_fraction` of each class, at least one image of it, and never its last one.

    The draw of a class depends on `seed` and on its own files only: another class may come or go without changing it.
    A folder with its own val/ is used as it is.
    """
    if folder.val is not None:
        return Split(folder.train, folder.val, folder.notices)
    train: list[Example] = []
    val: list[Example] = []
    single: list[str] = []
    for label, group in groupby(folder.train, key=lambda example: example.label):
        name, examples = folder.classes[label], list(group)
        held_out = min(max(1, round(len(examples) * val_fraction)), len(examples) - 1)
        chosen = set(random.Random(f"{seed}/{name}").sample(range(len(examples)), held_out))
        val += [example for index, example in enumerate(examples) if index in chosen]
        train += [example for index, example in enumerate(examples) if index not in chosen]
        if not held_out:
            single.append(name)
    return Split(tuple(train), tuple(val), folder.notices + _about_single(single))


def _about_single(classes: list[str]) -> tuple[Message, ...]:
    """Say that classes with a single picture are in training only; name the first few of them."""
    if not classes:
        return ()
    named = Message("{named}", named=classes[:NAMED])
    if len(classes) > NAMED:
        named = Message("{named} and {more} more", named=classes[:NAMED], more=len(classes) - NAMED)
    template = "A single picture stays in training, so nothing validates these classes: {classes}."
    return (Message(template, classes=named),)
