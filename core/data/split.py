"""Which pictures train, which validate, and which are kept for a test: the folder's own parts, or drawn ones.

The draw of a class depends on the seed and on the class's own files only: another class may come or go without
changing it. A class gives pictures to training first, then to validation, then to the test.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from core.data.scan import Example, ImageFolder
from core.messages import Message
from core.recipe import Recipe

NAMED = 5
"""Classes that a sentence names, before it counts the others."""


@dataclass(frozen=True)
class Draw:
    """What decides the parts. The fractions are shares of each class, 0…1.

    With several `folds`, `val_fraction` does not count: the pictures are dealt into so many parts, and part `fold`,
    from 1, validates.
    """

    val_fraction: float
    seed: int
    test_fraction: float = 0.0
    folds: int = 1
    fold: int = 1


@dataclass(frozen=True)
class Split:
    """Images of the three parts, and sentences about what the person should know of them.

    `test` is for one look at the end, with the kept weights; nothing may be chosen by it.
    """

    train: tuple[Example, ...]
    val: tuple[Example, ...]
    test: tuple[Example, ...]
    notices: tuple[Message, ...]


def draw_of(recipe: Recipe) -> Draw:
    """What decides the parts in a recipe. Of folds that are not chosen yet, the first one stands for all."""
    return Draw(recipe.val_fraction, recipe.seeds.split, recipe.test_fraction, recipe.folds, recipe.fold or 1)


def split(folder: ImageFolder, draw: Draw) -> Split:
    """The parts of each class: the folder's own val/ and test/, and what is drawn of its other pictures.

    Of each class at least one picture is held out for each part that is drawn, but never its last one for training.
    """
    train: list[Example] = []
    val = list(folder.val or ())
    test = list(folder.test or ())
    single: list[str] = []
    unseen: list[str] = []
    untested: list[str] = []
    for label, group in groupby(folder.train, key=lambda example: example.label):
        name, examples = folder.classes[label], list(group)
        drawn = [] if folder.test is not None else _drawn_for_test(examples, name, draw, folder.val is None)
        rest = _without(examples, drawn)
        held_out = [] if folder.val is not None else _held_out(rest, len(examples), name, draw)
        train += _without(rest, held_out)
        val += held_out
        test += drawn
        if folder.val is None and not held_out:
            (single if len(rest) == 1 else unseen).append(name)
        if folder.test is None and draw.test_fraction > 0 and not drawn:
            untested.append(name)
    about = (
        *_about("A single picture stays in training, so nothing validates these classes: {classes}.", single),
        *_about("In this fold nothing validates these classes, of fewer pictures than folds: {classes}.", unseen),
        *_about("Nothing tests these classes, which have too few pictures for it: {classes}.", untested),
    )
    return Split(tuple(train), tuple(val), tuple(test), (*folder.notices, *about))


def _drawn_for_test(examples: list[Example], name: str, draw: Draw, is_val_drawn: bool) -> list[Example]:
    """A class's pictures for the test. The draw does not depend on what is held out for validation."""
    spare = len(examples) - 1 - is_val_drawn
    if draw.test_fraction <= 0 or spare <= 0:
        return []
    count = min(max(1, round(len(examples) * draw.test_fraction)), spare)
    return _sample(examples, count, f"{draw.seed}/{name}/test")


def _held_out(examples: list[Example], of: int, name: str, draw: Draw) -> list[Example]:
    """Those of a class's pictures that validate: a share of the class's `of`, those for a test included."""
    if draw.folds > 1:
        return _dealt(examples, name, draw)
    count = min(max(1, round(of * draw.val_fraction)), len(examples) - 1)
    return _sample(examples, count, f"{draw.seed}/{name}")


def _dealt(examples: list[Example], name: str, draw: Draw) -> list[Example]:
    """Part `fold` of a shuffled class. It is dealt from a part on that is drawn, so small classes are spread over all.

    A single picture is dealt to none: it trains.
    """
    if len(examples) == 1:
        return []
    dealer = random.Random(f"{draw.seed}/{name}/folds")
    order = dealer.sample(range(len(examples)), len(examples))
    first = (draw.fold - 1 - dealer.randrange(draw.folds)) % draw.folds
    return [examples[index] for index in sorted(order[first :: draw.folds])]


def _sample(examples: list[Example], count: int, seed: str) -> list[Example]:
    """So many of them, in their order."""
    return [examples[index] for index in sorted(random.Random(seed).sample(range(len(examples)), count))]


def _without(examples: list[Example], taken: Sequence[Example]) -> list[Example]:
    gone = set(taken)
    return [example for example in examples if example not in gone]


def _about(template: str, classes: list[str]) -> Iterator[Message]:
    """The sentence about some classes, if there are any; it names the first few of them."""
    if not classes:
        return
    named = Message("{named}", named=classes[:NAMED])
    if len(classes) > NAMED:
        named = Message("{named} and {more} more", named=classes[:NAMED], more=len(classes) - NAMED)
    yield Message(template, classes=named)
