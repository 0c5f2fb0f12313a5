"""A kept model is asked about every picture that was held out, and answers as validation counted."""

from pathlib import Path

import pytest

from core.data.scan import read_image_folder
from core.errors import BadCheckpoint, BadData, BadImage
from core.events import EpochEnded
from core.figures import Score
from core.results.answers import Answer, Evaluation
from core.results.evaluate import evaluate
from core.training.loop import train
from tests.conftest import MakeFolder, result_of, small_recipe

SETTINGS = [
    {"trainable": ["head"]},
    {"trainable": ["layer4", "head"], "batchnorm": "lagging"},
    {"trainable": "all", "batchnorm": "learn"},
    {"trainable": ["layer4", "head"], "precision": "bf16", "keep": "last"},
    {"trainable": ["head"], "augment": "flip"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_answers_are_those_that_validation_counted(
    make_folder: MakeFolder, tmp_path: Path, settings: dict[str, object]
) -> None:
    recipe = small_recipe(make_folder(a=12, b=8, c=8), **settings)
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
