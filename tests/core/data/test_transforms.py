"""What the network sees is what torchvision's own transforms would show it."""

import pytest
import torch
from PIL import Image
from torchvision import models

from core.backbones import catalogue
from core.data.decode import decode
from core.data.transforms import augmentation, evaluation
from tests.conftest import SAMPLE_DATA


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50", "vit_b_16", "efficientnet_b3", "inception_v3", "swin_t"])
def test_the_same_as_the_weights_own(name: str) -> None:
    backbone = catalogue.get(name)
    assert backbone.weights is not None
    own = models.get_model_weights(name)[backbone.weights.name].transforms()
    image = decode(SAMPLE_DATA / "stamps" / "birds" / "owl.jpg")
    torch.testing.assert_close(evaluation(backbone.preprocessing)(image), own(image), rtol=0, atol=1e-6)


def test_another_size_keeps_the_share_that_is_cut_away() -> None:
    at_128 = catalogue.get("mobilenet_v2").preprocessing.at(128)
    assert (at_128.resize, at_128.crop) == (146, 128)
    assert evaluation(at_128)(decode(SAMPLE_DATA / "stamps" / "birds" / "owl.jpg")).shape == (3, 128, 128)


PHOTO = SAMPLE_DATA / "stamps" / "birds" / "owl.jpg"


@pytest.mark.parametrize("augment", ["flip", "standard"])
def test_a_variation_is_decided_by_its_key(augment: str) -> None:
    preprocessing = catalogue.get("mobilenet_v2").preprocessing.at(64)
    image = decode(PHOTO)
    seen = [augmentation(preprocessing, augment, f"key {number}")(image) for number in range(8)]
    again = [augmentation(preprocessing, augment, f"key {number}")(image) for number in range(8)]
    assert all(torch.equal(one, other) for one, other in zip(seen, again, strict=True))
    assert {one.shape for one in seen} == {(3, 64, 64)}
    assert len({one.numpy().tobytes() for one in seen}) == (2 if augment == "flip" else 8)


def test_a_flip_is_the_picture_or_its_mirror_image() -> None:
    preprocessing = catalogue.get("mobilenet_v2").preprocessing.at(64)
    plain = evaluation(preprocessing)(decode(PHOTO))
    for number in range(4):
        seen = augmentation(preprocessing, "flip", str(number))(decode(PHOTO))
        assert torch.equal(seen, plain) or torch.equal(seen, plain.flip(-1))


@pytest.mark.parametrize("size", [(10, 200), (200, 10), (33, 47)])
def test_a_random_crop_lies_within_any_picture(size: tuple[int, int]) -> None:
    preprocessing = catalogue.get("mobilenet_v2").preprocessing.at(32)
    for number in range(20):
        seen = augmentation(preprocessing, "standard", str(number))(Image.new("RGB", size, "red"))
        assert seen.shape == (3, 32, 32)
        assert seen[1].std() < 1e-3
