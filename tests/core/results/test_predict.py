"""A kept model answers as it did when it was kept."""

from pathlib import Path

import pytest
import torch

from core.data.tensors import Normalise, framing, read_pixels
from core.errors import BadCheckpoint, BadImage
from core.events import RunFinished
from core.figures import Score
from core.results.predict import classifier, restore
from core.training import kept_model
from core.training.kept_model import load_model
from core.training.loop import train
from core.training.setup import prepare
from tests.conftest import MakeFolder, result_of, small_recipe


@pytest.mark.parametrize("backbone", ["resnet18", "squeezenet1_1"])
def test_loading_gives_the_same_predictions(make_folder: MakeFolder, tmp_path: Path, backbone: str) -> None:
    data = make_folder(a=4, b=4)
    file = tmp_path / "model.safetensors"
    setup = result_of(prepare(small_recipe(data, backbone=backbone, trainable="all"), None))
    about = (setup.recipe, setup.classes, setup.preprocessing)
    kept_model.save_model(kept_model.KeptModel(*about, epoch=1, state=setup.model.state_dict()), file)
    pictures = sorted((data / "a").iterdir())
    images = Normalise(setup.preprocessing)(
        torch.stack([framing(setup.preprocessing)(read_pixels(p)) for p in pictures])
    )
    with torch.inference_mode():
        expected = setup.model.eval()(images).softmax(1)
    for row, probabilities in zip(expected, map(classifier(load_model(file)), pictures), strict=True):
        assert [probabilities[name] for name in ("a", "b")] == pytest.approx(row.tolist(), abs=1e-6)
        assert list(probabilities.values()) == sorted(probabilities.values(), reverse=True)


def test_what_was_learnt_is_in_the_file(make_folder: MakeFolder, tmp_path: Path) -> None:
    data = make_folder(a=8, b=8)
    file = tmp_path / "model.safetensors"
    *_, ended = train(small_recipe(data, trainable="all", epochs=6), file)
    assert isinstance(ended, RunFinished)
    assert ended.val == Score(2 * 2, 2 * 2)
    for name in ("a", "b"):
        for probabilities in map(classifier(load_model(file)), (data / name).iterdir()):
            assert next(iter(probabilities)) == name


def test_weights_of_another_backbone_are_refused(make_folder: MakeFolder) -> None:
    recipe = small_recipe(make_folder(a=2, b=2))
    setup = result_of(prepare(recipe, None))
    other = recipe.model_copy(update={"backbone": "resnet34"})
    mixed = kept_model.KeptModel(other, ("a", "b"), setup.preprocessing, 1, setup.model.state_dict())
    with pytest.raises(BadCheckpoint, match="do not fit resnet34"):
        restore(mixed)


def test_weights_for_other_classes_are_refused(make_folder: MakeFolder) -> None:
    setup = result_of(prepare(small_recipe(make_folder(a=2, b=2)), None))
    mixed = kept_model.KeptModel(setup.recipe, ("a", "b", "c"), setup.preprocessing, 1, setup.model.state_dict())
    with pytest.raises(BadCheckpoint, match="do not fit"):
        restore(mixed)


def test_what_is_no_picture_is_named(make_folder: MakeFolder, tmp_path: Path) -> None:
    data = make_folder(a=2, b=2)
    file = tmp_path / "model.safetensors"
    list(train(small_recipe(data, epochs=1), file))
    (tmp_path / "text.jpg").write_text("hello", encoding="utf-8")
    with pytest.raises(BadImage, match=r"text\.jpg is not a picture"):
        classifier(load_model(file))(tmp_path / "text.jpg")
