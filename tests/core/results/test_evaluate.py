"""A kept model is asked about every picture that was held out, and answers as validation counted."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.scan import read_image_folder
from core.errors import BadCheckpoint, BadData, BadImage
from core.events import EpochEnded
from core.figures import Score
from core.results.answers import Answer, Evaluation, duel
from core.results.predict import evaluate
from core.training.loop import train
from tests.conftest import MakeFolder, result_of, small_recipe

SETTINGS = [
    {"trainable": ["head"]},
    {"trainable": ["layer4", "head"], "batchnorm": "lagging"},
    {"trainable": "all", "batchnorm": "learn"},
    {"trainable": ["layer4", "head"], "precision": "bf16", "keep": "last"},
    {"trainable": ["head"], "augment": "flip"},
]


@pytest.mark.parametrize("chosen", SETTINGS, ids=str)
def test_answers_are_those_that_validation_counted(
    make_folder: MakeFolder, tmp_path: Path, chosen: dict[str, object]
) -> None:
    recipe = small_recipe(make_folder(a=12, b=8, c=8), **chosen)
    weights, features = tmp_path / "model.safetensors", tmp_path / "features"
    epochs = [event for event in train(recipe, weights, features) if isinstance(event, EpochEnded)]
    kept = next(one for one in reversed(epochs) if one.kept)
    found = result_of(evaluate(weights, features))
    assert (found.classes, found.epoch, found.confusion) == (("a", "b", "c"), kept.epoch, kept.confusion)
    assert [sum(one.shares) for one in found.answers] == pytest.approx([1.0] * 7, abs=1e-5)
    assert found.guessing == Score(3, 7)
    assert found.untrained is not None
    assert found.untrained.images == 7
    assert Evaluation.from_json(found.to_json()).confusion == found.confusion


def test_other_classes_than_then_are_said(make_folder: MakeFolder, tmp_path: Path) -> None:
    data, weights = make_folder(a=4, b=4), tmp_path / "model.safetensors"
    list(train(small_recipe(data), weights, tmp_path / "features"))
    make_folder(c=4)
    with pytest.raises(BadData, match=r"The classes of .* are not those any more"):
        result_of(evaluate(weights, tmp_path / "features"))


def test_no_weights_are_said(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="cannot be read as saved weights"):
        result_of(evaluate(tmp_path / "none.safetensors", tmp_path / "features"))


def test_mistakes_come_the_surest_first_and_hits_the_least_sure() -> None:
    said = [(0, (0.6, 0.4)), (0, (0.1, 0.9)), (1, (0.55, 0.45)), (1, (0.2, 0.8)), (0, (0.5, 0.5))]
    answers = tuple(Answer(Path(f"{number}.png"), label, shares) for number, (label, shares) in enumerate(said))
    found = Evaluation(("a", "b"), 1, answers, None, None)
    assert [one.path.stem for one in found.mistakes()] == ["1", "2"]
    assert [one.path.stem for one in found.narrow()] == ["4", "0", "3"]
    assert [one.confidence for one in found.mistakes()] == [0.9, 0.55]
    assert found.confusion == ((0, 0, 2), (0, 1, 1), (1, 0, 1), (1, 1, 1))


def test_a_picture_that_was_damaged_since_is_said(make_folder: MakeFolder, tmp_path: Path) -> None:
    data, weights = make_folder(a=4, b=4), tmp_path / "model.safetensors"
    list(train(small_recipe(data), weights, tmp_path / "features"))
    for example in read_image_folder(data).train:
        example.path.write_bytes(b"no picture")
    with pytest.raises(BadImage):
        result_of(evaluate(weights, tmp_path / "features"))


def evaluation(*right: bool, classes: tuple[str, ...] = ("a", "b")) -> Evaluation:
    """Pictures 0.png, 1.png … of class 0, of which those that are `right` are answered rightly."""
    shares = {True: (0.9, 0.1), False: (0.2, 0.8)}
    return Evaluation(
        classes, 1, tuple(Answer(Path(f"{n}.png"), 0, shares[one]) for n, one in enumerate(right)), None, None
    )


def test_two_runs_differ_on_the_pictures_that_only_one_got_right() -> None:
    found = duel(evaluation(True, True, False, False), evaluation(True, False, True, False, True))
    assert found.pictures == 4
    assert [one.path.stem for one in found.first_only] == ["1"]
    assert [one.path.stem for one in found.second_only] == ["2"]
    assert not any(one.is_right for one in (*found.first_only, *found.second_only))


def test_pictures_of_another_class_are_not_compared() -> None:
    assert duel(evaluation(True), evaluation(False, classes=("b", "a"))).pictures == 0


@pytest.mark.parametrize(
    ("first", "second", "p", "words"),
    [
        (6, 2, 0.2890625, "6 against 2: could be chance (p = 0.29)"),
        (0, 0, 1.0, "both got the same ones right"),
        (3, 3, 1.0, "3 against 3: could be chance (p = 1)"),
        (0, 6, 0.03125, "0 against 6: hardly chance (p = 0.031)"),
        (12, 1, 0.00341796875, "12 against 1: hardly chance (p = 0.0034)"),
    ],
)
def test_mcnemars_exact_test(first: int, second: int, p: float, words: str) -> None:
    """By hand: twice the tail of a binomial distribution, as in 2 · (1 + 8 + 28) / 256 for 6 against 2."""
    one, other = [True] * first + [False] * second, [False] * first + [True] * second
    found = duel(evaluation(*one), evaluation(*other))
    assert found.p_value == pytest.approx(p)
    assert str(found.in_words()) == words


@given(st.integers(0, 60), st.integers(0, 60))
@settings(deadline=None)  # The first example imports scipy.
def test_mcnemars_test_is_that_of_scipy(first: int, second: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    one, other = [True] * first + [False] * second, [False] * first + [True] * second
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert duel(evaluation(*one), evaluation(*other)).p_value == pytest.approx(expected)
