"""A frozen layer changes nothing, bit for bit, whatever is trained around it."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from core.backbones import catalogue
from core.backbones.build import build, freeze, parameters_on_meta, train_mode
from core.backbones.catalogue import Backbone
from tests.core.backbones.networks import quickly_built, side

Prepared = tuple[Backbone, nn.Module, frozenset[str]]


def prepare(name: str, *trainable: str) -> Prepared:
    return chosen(quickly_built(name, 3), name, *trainable)


def prepare_on_meta(name: str, *trainable: str) -> Prepared:
    """For tests that look at flags only."""
    with parameters_on_meta():
        return chosen(build(catalogue.get(name), 3, "random"), name, *trainable)


def chosen(model: nn.Module, name: str, *trainable: str) -> Prepared:
    backbone = catalogue.get(name)
    layers = catalogue.select(backbone, trainable)
    freeze(model, layers)
    train_mode(model, backbone, layers)
    return backbone, model, layers


def train(backbone: Backbone, model: nn.Module, steps: int = 2) -> None:
    size = side(backbone.name)
    optimizer = torch.optim.Adam([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-2)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(torch.randn(3, 3, size, size)), torch.arange(3))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(before: dict[str, Tensor], model: nn.Module) -> set[str]:
    return {name for name, value in model.state_dict().items() if not torch.equal(before[name], value)}


@pytest.mark.parametrize(
    ("name", "trainable"),
    [
        ("resnet18", ("head",)),
        ("resnet18", ("layer2",)),
        ("resnet18", ("stem", "layer3", "head")),
        ("resnet18", ("layer4.1.conv2", "layer1.0")),
        ("mobilenet_v2", ("stage3", "head")),
        ("mobilenet_v3_small", ("stage2", "hidden")),
        ("squeezenet1_1", ("fire5", "head")),
        ("densenet121", ("dense2", "norm")),
        ("efficientnet_b0", ("stage4",)),
        ("shufflenet_v2_x0_5", ("stage3", "head")),
        ("regnet_x_400mf", ("stage2",)),
        ("googlenet", ("inception4a", "head")),
        ("convnext_tiny", ("stage2", "head")),
        ("convnext_tiny", ("features.3.1.layer_scale",)),
        ("swin_t", ("stage2", "features.5.0.attn", "head")),
        ("vit_b_32", ("embedding", "layer6", "head")),
        ("vit_b_32", ("class_token", "encoder.layers.encoder_layer_3.self_attention.in_proj_weight", "head")),
        ("vgg11_bn", ("conv3", "head")),
    ],
)
def test_only_the_chosen_layers_change(name: str, trainable: tuple[str, ...]) -> None:
    backbone, model, layers = prepare(name, *trainable)
    owners = {key: key.rpartition(".")[0] for key in model.state_dict()}
    expected = {key for key, owner in owners.items() if key in layers or owner in layers}
    before = snapshot(model)

    train(backbone, model)

    assert changed(before, model) == expected


def test_validation_in_between_changes_nothing() -> None:
    backbone, model, layers = prepare("resnet18", "layer2")
    train(backbone, model, steps=1)
    model.eval()
    before = snapshot(model)
    model(torch.randn(2, 3, 64, 64))
    assert not changed(before, model)
    train_mode(model, backbone, layers)
    assert model.get_submodule("layer2.0.bn1").training
    assert not model.get_submodule("layer3.0.bn1").training


@pytest.mark.parametrize("name", ["resnet18", "convnext_tiny", "swin_v2_t", "maxvit_t", "vit_b_32", "inception_v3"])
def test_everything_can_be_thawed_again(name: str) -> None:
    backbone, model, _ = prepare_on_meta(name, "head")
    everything = catalogue.select(backbone, "all")
    freeze(model, everything)
    train_mode(model, backbone, everything)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("name", ["vgg11", "efficientnet_b0", "maxvit_t", "swin_t", "googlenet", "mobilenet_v3_small"])
def test_dropout_is_off_in_frozen_blocks(name: str) -> None:
    """With only the first block trainable no randomness is left: its own kind of layers have none."""
    first = catalogue.get(name).blocks[0].name
    _, model, _ = prepare(name, first)
    images = torch.randn(2, 3, side(name), side(name))
    with torch.no_grad():
        assert torch.equal(model(images), model(images))


def random_modules(model: nn.Module) -> dict[str, bool]:
    """Whether dropout and stochastic depth are on, by path."""
    return {
        path: module.training
        for path, module in model.named_modules()
        if isinstance(module, nn.Dropout | StochasticDepth)
    }


def test_dropout_follows_its_block() -> None:
    """VGG's dropouts belong to the linear layers that they feed."""
    _, model, _ = prepare_on_meta("vgg11", "head")
    assert random_modules(model) == {"classifier.2": False, "classifier.5": True}
    _, model, _ = prepare_on_meta("vgg11", "fc7")
    assert random_modules(model) == {"classifier.2": True, "classifier.5": False}
    _, model, _ = prepare_on_meta("vgg11", "conv5", "fc6")
    assert not any(random_modules(model).values())


def test_dropout_follows_the_module_around_it() -> None:
    _, model, _ = prepare_on_meta("convnext_tiny", "features.3.1.block.0")
    on = {path for path, training in random_modules(model).items() if training}
    assert on == {"features.3.1.stochastic_depth"}
    _, model, _ = prepare_on_meta("maxvit_t", "blocks.1.layers.0.layers.MBconv.layers.conv_a")
    on = {path for path, training in random_modules(model).items() if training}
    assert on == {"blocks.1.layers.0.layers.MBconv.stochastic_depth"}


def test_modules_with_dropout_of_their_own_follow_their_layers() -> None:
    """Attention calls dropout as a function, and asks its own flag whether it is training."""
    attention = "encoder.layers.encoder_layer_3.self_attention"
    for layer in (f"{attention}.in_proj_weight", f"{attention}.out_proj"):
        _, model, _ = prepare_on_meta("vit_b_32", layer)
        assert model.get_submodule(attention).training
        assert not model.get_submodule(attention.replace("_3.", "_4.")).training
        assert not model.get_submodule(attention.replace("self_attention", "mlp")).training


@pytest.mark.parametrize("name", catalogue.BUNDLED)
def test_frozen_pretrained_weights_stay_the_bundled_ones(name: str) -> None:
    torch.manual_seed(0)
    backbone, model, _ = chosen(build(catalogue.get(name), 3, "pretrained"), name, "head")
    before = snapshot(model)
    train(backbone, model)
    assert changed(before, model) == {f"{backbone.head.path}.weight", f"{backbone.head.path}.bias"}
