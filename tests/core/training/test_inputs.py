"""The same picture gives the same square wherever it is seen: in training, features, preview and prediction."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.v2.functional import pil_to_tensor

from core.backbones import catalogue
from core.backbones.cut import cut
from core.data.images import decode
from core.data.scan import Example
from core.data.tensors import framing, plain_square
from core.results import predict
from core.training import kept_model
from core.training.features import Features, FrozenPart
from core.training.loop import train
from core.training.setup import Setup, first_batch, prepare
from tests.conftest import SAMPLE_DATA, result_of, small_recipe


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos that are decoded at a quarter of their size for squares of 64 pixels, some of them turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for label in ("birds", "fruit"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number, source in enumerate(sorted((SAMPLE_DATA / "stamps" / label).iterdir())[:4]):
            target = tmp_path / "photos" / label / f"{number}.jpg"
            decode(source).resize((500, 350)).save(target, quality=90, **({"exif": exif} if number % 2 else {}))
    return tmp_path / "photos"


def seen_plain(setup: Setup, examples: tuple[Example, ...]) -> tuple[Tensor, ...]:
    inputs, labels = next(setup.inputs.plain(examples, [list(range(len(examples)))]))
    assert labels.tolist() == [example.label for example in examples]
    return inputs


def test_one_square_in_training_features_preview_and_prediction(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small_recipe(photos, image_size=64, precision="fp32", epochs=1, batch_size=6)
    preprocessing = catalogue.get("resnet18").preprocessing.at(64)
    setup = result_of(prepare(recipe, None))
    train_squares, val_squares = (
        torch.stack([plain_square(preprocessing, example.path) for example in part])
        for part in (setup.split.train, setup.split.val)
    )
    exact = framing(preprocessing)(pil_to_tensor(decode(setup.split.val[0].path)))
    assert not torch.equal(val_squares[0], exact)  # A fraction of its size is what this test is about.

    # From pictures, for training and for validation.
    assert torch.equal(seen_plain(setup, setup.split.train)[0], train_squares)
    assert torch.equal(seen_plain(setup, setup.split.val)[0], val_squares)
    (trained_on,), _ = next(setup.inputs.training([list(range(6))], 1))
    assert torch.equal(trained_on, train_squares)

    # In features.
    kept = result_of(prepare(recipe, tmp_path / "features"))
    halves = cut(kept.model, catalogue.get("resnet18").min_size)
    assert halves is not None
    expected = FrozenPart(halves.prefix, "fp32", folded=False).runner(preprocessing)(val_squares)
    for one, other in zip(seen_plain(kept, kept.split.val), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)

    # In the preview.
    in_preview = {pil_to_tensor(image).numpy().tobytes() for image, _ in first_batch(recipe)}
    assert in_preview == {square.numpy().tobytes() for square in train_squares}

    # In prediction.
    file = tmp_path / "model.safetensors"
    list(train(recipe, file))
    shown: list[Tensor] = []
    answering = predict.answering

    def listening(model: kept_model.KeptModel, network: nn.Module) -> predict.Answer:
        answer = answering(model, network)

        def answer_aloud(squares: Tensor) -> Tensor:
            shown.append(squares)
            return answer(squares)

        return answer_aloud

    monkeypatch.setattr(predict, "answering", listening)
    predict.classifier(kept_model.load_model(file))(setup.split.val[0].path)
    assert torch.equal(shown[0][0], val_squares[0])


def test_a_variant_that_is_not_kept_is_refused(tmp_path: Path) -> None:
    picture = Example(tmp_path / "a.png", 0)
    features = Features((np.zeros((4, 1), np.float32),), {picture.path: (2, range(1, 3))})
    assert len(next(features.load([(picture, 2)], [[0]]))[0][0]) == 1
    with pytest.raises(ValueError, match="not in range"):
        list(features.load([(picture, 0)], [[0]]))


@pytest.mark.parametrize("augment", ["flip", "standard"])
def test_kept_features_are_read_without_variations_too(photos: Path, tmp_path: Path, augment: str) -> None:
    """BatchNorm after the cut is why: its statistics come from the training pictures as they are."""
    shared = {"image_size": 64, "precision": "fp32", "trainable": ["layer4", "head"], "views": 2}
    varied = result_of(prepare(small_recipe(photos, augment=augment, **shared), tmp_path / "features"))
    plain = result_of(prepare(small_recipe(photos, **shared), tmp_path / "features"))
    for one, other in zip(seen_plain(varied, varied.split.train), seen_plain(plain, plain.split.train), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
