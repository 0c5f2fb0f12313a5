"""Which pictures are held out: for validation, for a test, and by folds."""

import random
from collections import Counter
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.scan import Example, ImageFolder
from core.data.split import Draw, Split, draw_of, split
from core.messages import Message
from core.recipe_settings import parse

QUARTER = Draw(val_fraction=0.25, seed=0)
classes = st.lists(st.integers(1, 12), min_size=2, max_size=5).map(
    lambda sizes: folder(**{f"class{n}": size for n, size in enumerate(sizes)})
)
draws = st.builds(
    Draw,
    val_fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**53 - 1),
    test_fraction=st.just(0.0) | st.floats(0.01, 0.99),
    folds=st.integers(1, 6),
)


def folder(**counts: int) -> ImageFolder:
    examples = [
        Example(Path(f"{name}/{n}.jpg"), label) for label, (name, k) in enumerate(counts.items()) for n in range(k)
    ]
    return ImageFolder(Path(), tuple(counts), tuple(examples), None, ())


def sizes(part: tuple[Example, ...]) -> dict[int, int]:
    return dict(Counter(example.label for example in part))


def words(drawn: Split) -> list[str]:
    return list(map(str, drawn.notices))


def drawn_before_there_were_tests(pictures: ImageFolder, val_fraction: float, seed: int) -> tuple[list[Example], ...]:
    """The draw of Thaw up to November 2026, as it was: the runs of then must split as they did."""
    train: list[Example] = []
    val: list[Example] = []
    for label, group in groupby(pictures.train, key=lambda example: example.label):
        name, examples = pictures.classes[label], list(group)
        held_out = min(max(1, round(len(examples) * val_fraction)), len(examples) - 1)
        chosen = set(random.Random(f"{seed}/{name}").sample(range(len(examples)), held_out))
        val += [example for index, example in enumerate(examples) if index in chosen]
        train += [example for index, example in enumerate(examples) if index not in chosen]
    return train, val


@given(classes, st.floats(0.001, 0.999), st.integers(0, 2**53 - 1))
def test_without_a_test_or_folds_the_draw_is_what_it_was(pictures: ImageFolder, fraction: float, seed: int) -> None:
    drawn = split(pictures, Draw(fraction, seed))
    assert [list(drawn.train), list(drawn.val)] == list(drawn_before_there_were_tests(pictures, fraction, seed))
    assert drawn.test == ()


@given(classes, draws, st.integers(0, 5))
def test_every_picture_is_in_one_part_and_every_class_trains(pictures: ImageFolder, draw: Draw, nth: int) -> None:
    draw = replace(draw, fold=1 + nth % draw.folds)
    drawn = split(pictures, draw)
    assert Counter((*drawn.train, *drawn.val, *drawn.test)) == Counter(pictures.train)
    assert sizes(drawn.train).keys() == sizes(pictures.train).keys()
    assert split(pictures, draw) == drawn


@given(classes, draws.filter(lambda draw: draw.folds > 1))
def test_over_all_folds_every_picture_validates_once(pictures: ImageFolder, draw: Draw) -> None:
    folds = [split(pictures, replace(draw, fold=k + 1)) for k in range(draw.folds)]
    tested = Counter(folds[0].test)
    assert all(Counter(fold.test) == tested for fold in folds)
    expected = [e for e in pictures.train if e not in tested and pictures.counts()[e.label] > 1]
    assert Counter(example for fold in folds for example in fold.val) == Counter(expected)
    for label in range(len(pictures.classes)):
        parts = [sizes(fold.val).get(label, 0) for fold in folds]
        assert max(parts) - min(parts) <= 1


@given(classes, draws)
def test_another_class_changes_nothing(pictures: ImageFolder, draw: Draw) -> None:
    fewer = ImageFolder(Path(), pictures.classes[:1], tuple(e for e in pictures.train if e.label == 0), None, ())
    alone, among = split(fewer, draw), split(pictures, draw)
    for part in ("train", "val", "test"):
        assert getattr(alone, part) == tuple(example for example in getattr(among, part) if example.label == 0)


def test_each_class_gives_its_share_of_both() -> None:
    drawn = split(folder(a=40, b=8), Draw(0.25, 0, test_fraction=0.125))
    parts = [sizes(part) for part in (drawn.train, drawn.val, drawn.test)]
    assert parts == [{0: 25, 1: 5}, {0: 10, 1: 2}, {0: 5, 1: 1}]


def test_small_classes_give_to_training_first_then_to_validation() -> None:
    drawn = split(folder(one=1, two=2, three=3), Draw(0.1, 0, test_fraction=0.1))
    assert [sizes(part) for part in (drawn.train, drawn.val, drawn.test)] == [{0: 1, 1: 1, 2: 1}, {1: 1, 2: 1}, {2: 1}]
    assert words(drawn) == [
        "A single picture stays in training, so nothing validates these classes: one.",
        "Nothing tests these classes, which have too few pictures for it: one, two.",
    ]
    assert sizes(split(folder(a=2, b=3), Draw(0.99, 0)).train) == {0: 1, 1: 1}


def test_the_test_does_not_depend_on_what_validates() -> None:
    pictures = folder(a=40, b=40)
    tests = {split(pictures, Draw(share, 3, 0.2, folds)).test for share in (0.1, 0.5) for folds in (1, 5)}
    assert len(tests) == 1


@pytest.mark.parametrize("draw", [QUARTER, Draw(0.25, 0, folds=4)])
def test_the_seed_decides(draw: Draw) -> None:
    pictures = folder(a=40, b=40)
    assert split(pictures, draw).val != split(pictures, replace(draw, seed=1)).val


def test_classes_smaller_than_the_folds_are_spread_over_them() -> None:
    pictures = folder(**{f"class{n}": 2 for n in range(60)})
    folds = [split(pictures, Draw(0.25, 0, folds=6, fold=k)) for k in range(1, 7)]
    # 120 pictures in 6 parts: 20 each on average, with a standard deviation of 3.65.
    assert all(5 < len(fold.val) < 35 for fold in folds)
    assert words(folds[0])[0].startswith("In this fold nothing validates these classes, of fewer pictures than folds: ")


def test_folds_out_of_their_range_do_not_break_the_page() -> None:
    """The page draws a split beside the sentence that names what is wrong."""
    for draw in (Draw(0.25, 0, folds=3, fold=9), Draw(0.25, 0, folds=-1), Draw(7.0, -3, 7.0), Draw(-1.0, 0, -1.0)):
        drawn = split(folder(a=4, b=4), draw)
        assert len(drawn.train) + len(drawn.val) + len(drawn.test) == 8


OWN = tuple(Example(Path(f"own/{n}.jpg"), n % 2) for n in range(3))


def test_a_folder_with_its_own_validation_images_keeps_them() -> None:
    train = folder(a=8, b=8).train
    pictures = ImageFolder(Path(), ("a", "b"), train, OWN, (Message("said"),))
    drawn = split(pictures, QUARTER)
    assert (drawn.train, drawn.val, drawn.test, drawn.notices) == (train, OWN, (), (Message("said"),))
    drawn = split(pictures, Draw(0.25, 0, test_fraction=0.25, folds=4))
    assert (drawn.val, sizes(drawn.train), sizes(drawn.test)) == (OWN, {0: 6, 1: 6}, {0: 2, 1: 2})


def test_a_folder_with_its_own_test_images_keeps_them() -> None:
    train = folder(a=8, b=8).train
    drawn = split(ImageFolder(Path(), ("a", "b"), train, None, (), OWN), Draw(0.25, 0, test_fraction=0.5))
    assert (drawn.test, sizes(drawn.train), sizes(drawn.val)) == (OWN, {0: 6, 1: 6}, {0: 2, 1: 2})
    drawn = split(ImageFolder(Path(), ("a", "b"), train, OWN, (), OWN), Draw(0.25, 0, test_fraction=0.5))
    assert (drawn.train, drawn.val, drawn.test) == (train, OWN, OWN)


def test_a_recipe_decides_by_its_own_seed_of_the_split() -> None:
    settings = {"data": "/photos", "val_fraction": 0.5, "test_fraction": 0.25, "seed": 3}
    assert draw_of(parse(settings)) == Draw(0.5, 3, 0.25)
    assert draw_of(parse(settings | {"split_seed": 8, "folds": 5})) == Draw(0.5, 8, 0.25, folds=5, fold=1)
    assert draw_of(parse(settings | {"folds": 5, "fold": 4})).fold == 4
