"""What the network sees is what torchvision's own transforms would show it."""

import pytest
import torch
from torchvision import models

from core.backbones import catalogue
from core.data.decode import decode
from core.data.transforms import evaluation
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
