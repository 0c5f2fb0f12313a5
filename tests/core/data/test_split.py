"""Which pictures are held out."""

from collections import Counter
from pathlib import Path

from core.data.scan import Example, ImageFolder
from core.data.split import split
from core.messages import Message


def folder(**counts: int) -> ImageFolder:
    examples = [
        Example(Path(f"{name}/{n}.jpg"), label) for label, (name, k) in enumerate(counts.items()) for n in range(k)
    ]
    return ImageFolder(Path(), tuple(counts), tuple(examples), None, ())


def test_each_class_gives_its_share_and_nothing_is_lost_or_doubled() -> None:
    pictures = folder(a=40, b=8)
    drawn = split(pictures, 0.25, seed=0)
    assert Counter(e.label for e in drawn.val) == {0: 10, 1: 2}
    assert Counter(drawn.train + drawn.val) == Counter(pictures.train)


def test_small_classes_give_one_but_never_their_last() -> None:
    drawn = split(folder(one=1, two=2, three=3), 0.1, seed=0)
    assert Counter(e.label for e in drawn.val) == {1: 1, 2: 1}
    assert Counter(e.label for e in drawn.train) == {0: 1, 1: 1, 2: 2}
    assert tuple(map(str, drawn.notices)) == (
        "A single picture stays in training, so nothing validates these classes: one.",
    )
    assert Counter(e.label for e in split(folder(a=2, b=3), 0.99, seed=0).train) == {0: 1, 1: 1}


def test_the_seed_decides() -> None:
    pictures = folder(a=40, b=40)
    assert split(pictures, 0.25, seed=1) == split(pictures, 0.25, seed=1)
    assert split(pictures, 0.25, seed=1).val != split(pictures, 0.25, seed=2).val


def test_another_class_does_not_change_the_draw() -> None:
    names = [e.path for e in split(folder(a=40, b=40), 0.25, seed=0).val if e.label == 0]
    assert names == [e.path for e in split(folder(a=40, c=9, d=9), 0.25, seed=0).val if e.label == 0]


def test_a_folder_with_its_own_validation_images_keeps_them() -> None:
    train, val = (Example(Path("t"), 0),), (Example(Path("v"), 0),)
    drawn = split(ImageFolder(Path(), ("a", "b"), train, val, (Message("said"),)), 0.25, seed=0)
    assert (drawn.train, drawn.val, drawn.notices) == (train, val, (Message("said"),))
