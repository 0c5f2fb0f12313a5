"""The two halves make the whole, wherever the cut lies."""

import pytest
import torch
from torch import Tensor, fx, nn

from core.backbones import catalogue
from core.backbones.build import build, construct, freeze, parameters_on_meta, train_mode
from core.backbones.cut import Cut, cut, form_of, trace
from tests.core.backbones.networks import EVERY, ONE_PER_FAMILY

CUTS = [
    ("mobilenet_v2", ["head"], 64),
    ("mobilenet_v2", ["stage4"], 64),
    ("squeezenet1_1", ["fire9", "head"], 64),
    ("resnet18", ["layer3"], 64),
    ("resnet18", ["layer4.1.conv2", "head"], 64),
    ("vgg11", ["fc7", "head"], 64),
    ("inception_v3", ["Mixed_6a", "head"], 80),
    ("googlenet", ["head"], 64),
    ("densenet121", ["features.denseblock3.denselayer5.conv1"], 64),
    ("convnext_tiny", ["stage4", "head"], 64),
    ("vit_b_32", ["layer12", "head"], 224),
    ("vit_b_32", ["class_token"], 224),
    ("swin_t", ["stage4", "head"], 64),
    ("swin_v2_t", ["stage4"], 64),
    ("maxvit_t", ["stage4", "head"], 224),
    ("shufflenet_v2_x0_5", ["stage4", "head"], 64),
    ("efficientnet_b0", ["stage6", "head"], 64),
    ("regnet_y_400mf", ["stage4"], 64),
    ("mnasnet0_5", ["stage5"], 64),
    ("mobilenet_v3_small", ["hidden", "head"], 64),
]


def halves(name: str, trainable: list[str], size: int) -> tuple[nn.Module, Cut | None]:
    backbone = catalogue.get(name)
    torch.manual_seed(0)
    model = build(backbone, 5, "random")
    layers = catalogue.select(backbone, trainable)
    freeze(model, layers)
    train_mode(model, backbone, layers)
    return model, cut(model, size)


def parameters(graph: fx.GraphModule) -> set[int]:
    return {id(parameter) for parameter in graph.parameters()}


@pytest.mark.parametrize(("name", "trainable", "size"), CUTS, ids=[f"{name}-{at[0]}" for name, at, _ in CUTS])
def test_prefix_then_rest_is_the_model(name: str, trainable: list[str], size: int) -> None:
    model, found = halves(name, trainable, size)
    assert found is not None
    assert not any(parameter.requires_grad for parameter in found.prefix.parameters())
    learning = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert learning <= parameters(found.rest)
    images = torch.randn(3, 3, size, size)
    model.eval()
    with torch.inference_mode():
        features: tuple[Tensor, ...] = found.prefix(images)
        torch.testing.assert_close(found.rest(*features), model(images), rtol=0, atol=0)
    assert all(feature.shape[0] == 3 for feature in features)


def test_networks_of_one_form_are_traced_once_and_each_is_cut_over_its_own_weights() -> None:
    backbone = catalogue.get("resnet18")
    first, second = (build(backbone, 5, "random").eval() for _ in range(2))
    assert trace(first, 64) is trace(second, 64)
    assert trace(first, 64) is not trace(first.train(), 64)
    images = torch.randn(2, 3, 64, 64)
    for model in (first.eval(), second):
        freeze(model, catalogue.select(backbone, ["head"]))
        found = cut(model, 64)
        assert found is not None
        torch.testing.assert_close(found.rest(*found.prefix(images)), model(images), rtol=0, atol=0)


@pytest.mark.usefixtures("norms_do_nothing")
def test_no_two_backbones_have_the_same_form() -> None:
    forms = set()
    names = catalogue.names()
    for name in names:
        with parameters_on_meta():
            forms.add(form_of(construct(name, 224, initialise=False), 224))
    assert len(forms) == len(names)


@pytest.mark.usefixtures("norms_do_nothing")
@pytest.mark.parametrize("name", EVERY)
def test_every_backbone_can_be_cut_in_the_middle(name: str) -> None:
    """On the meta device, where neither memory nor arithmetic is needed: shapes, and who learns."""
    backbone = catalogue.get(name)
    size = backbone.preprocessing.crop
    with parameters_on_meta():
        model = construct(name, size, initialise=False).to("meta")
    layers = catalogue.select(backbone, [backbone.blocks[len(backbone.blocks) // 2].name])
    freeze(model, layers)
    train_mode(model, backbone, layers)
    found = cut(model, size)
    assert found is not None
    assert {id(parameter) for parameter in model.parameters() if parameter.requires_grad} <= parameters(found.rest)
    assert not any(parameter.requires_grad for parameter in found.prefix.parameters())
    model.eval()  # For shapes; and BatchNorm in training mode is slow here.
    features = found.prefix(torch.zeros(3, 3, size, size, device="meta"))
    assert all(feature.shape[0] == 3 for feature in features)
    assert found.rest(*features).shape == (3, 1000)


def test_the_prefix_is_as_long_as_it_can_be() -> None:
    for name, numbers in {"mobilenet_v2": 1280, "resnet18": 512, "vit_b_32": 768}.items():
        _, found = halves(name, ["head"], 224 if name == "vit_b_32" else 64)
        assert found is not None
        size = 224 if name == "vit_b_32" else 64
        with torch.inference_mode():
            (feature,) = found.prefix(torch.zeros(1, 3, size, size))
        assert feature.shape == (1, numbers)


def test_dropout_that_is_on_stays_in_the_rest() -> None:
    model, found = halves("mobilenet_v2", ["head"], 64)
    assert found is not None
    torch.manual_seed(0)
    feature = torch.randn(4, 1280)
    assert not torch.equal(found.rest(feature), found.rest(feature))
    model.eval()
    assert torch.equal(found.rest(feature), found.rest(feature))


def test_training_from_the_first_layer_leaves_nothing_to_cut() -> None:
    assert halves("resnet18", ["stem", "head"], 64)[1] is None
    assert halves("vit_b_32", ["embedding"], 224)[1] is None
    # They recolour the pictures first, which is nothing worth keeping.
    assert halves("googlenet", ["stem", "head"], 64)[1] is None


@pytest.mark.parametrize("name", ONE_PER_FAMILY)
def test_the_catalogue_knows_whether_there_is_a_prefix(name: str) -> None:
    """Training begins at the pictures just where the first layer learns. On the meta device: only flags matter."""
    backbone = catalogue.get(name)
    first, all_layers = backbone.first_layer, frozenset(layer.path for layer in backbone.layers)
    for layers in (frozenset({first}), all_layers - {first}):
        with parameters_on_meta():
            model = construct(name, backbone.preprocessing.crop, initialise=False).to("meta")
        freeze(model, layers)
        train_mode(model, backbone, layers)
        assert (cut(model, backbone.min_size) is None) is (first in layers)
