"""What is shown of the first batch is what training gets in its first batch."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.transforms.v2.functional import pil_to_tensor

from core.backbones import catalogue
from core.backbones.cut import cut
from core.events import FeaturesReady
from core.training.features import FrozenPart
from core.training.loop import training_batches
from core.training.setup import SHOWN, Setup, first_batch, prepare
from tests.conftest import MakeFolder, small_recipe


def prepared(recipe: Any, features: Path) -> tuple[Setup, bool]:
    """The setup of training, and whether it begins at features."""
    events = []
    job = prepare(recipe, features)
    while True:
        try:
            events.append(next(job))
        except StopIteration as end:
            return end.value, any(isinstance(event, FeaturesReady) for event in events)


@pytest.mark.parametrize(
    ("settings", "from_features"),
    [
        ({"augment": "standard", "views": 8}, True),
        ({"augment": "flip", "views": 8}, True),
        ({"augment": "none"}, True),
        ({"augment": "standard", "views": 0}, False),
        ({"augment": "flip", "views": 0}, False),
        ({"augment": "none", "trainable": "all"}, False),
        ({"augment": "standard", "views": 8, "trainable": ["layer4", "conv1"]}, False),
        ({"augment": "standard", "views": 3, "trainable": ["bn1", "head"], "seed": 5}, True),
        ({"split_seed": 3, "order_seed": 7, "test_fraction": 0.25}, True),
    ],
)
def test_the_pictures_shown_are_those_of_the_first_batch(
    make_folder: MakeFolder, tmp_path: Path, settings: dict[str, Any], from_features: bool
) -> None:
    recipe = small_recipe(make_folder(a=8, b=8), precision="fp32", batch_size=9, **settings)
    shown = first_batch(recipe)
    squares = torch.stack([pil_to_tensor(image) for image, _ in shown])
    setup, has_features = prepared(recipe, tmp_path / "features")
    assert has_features is from_features
    inputs, labels = next(setup.inputs.training(training_batches(setup, 1)[:1], 1))
    assert [label for _, label in shown] == [setup.classes[label] for label in labels]
    if not from_features:
        assert torch.equal(squares, inputs[0])
        return
    halves = cut(setup.model, catalogue.get("resnet18").min_size)
    assert halves is not None
    expected = FrozenPart(halves.prefix, "fp32", folded=False).runner(setup.preprocessing)(squares)
    for one, other in zip(inputs, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert len({row.numpy().tobytes() for row in inputs[0]}) == len(shown)  # So that a wrong order would be seen.


def test_no_more_are_shown_than_can_be_told_apart(make_folder: MakeFolder) -> None:
    assert len(first_batch(small_recipe(make_folder(a=20, b=20), batch_size=32))) == SHOWN


def test_no_weights_are_needed(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def built(*_: object) -> None:
        raise AssertionError("a network was built")

    monkeypatch.setattr("core.training.setup.build", built)
    assert first_batch(small_recipe(make_folder(a=4, b=4), backbone="vit_h_14", weights="pretrained", image_size=224))
