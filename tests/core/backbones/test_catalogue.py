"""The catalogue against the installed torchvision, and what it says without torch."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
import torch
import torchvision

from core.backbones import catalogue, survey
from core.errors import BadRecipe
from tests.conftest import calls_of
from tests.core.backbones.networks import EVERY, ONE_PER_FAMILY, on_meta

ROOT = Path(__file__).parents[3]
SAME_TORCHVISION = f'{{"torchvision": "{torchvision.__version__.partition("+")[0]}"'

every_backbone = pytest.mark.parametrize("name", EVERY)
one_per_family = pytest.mark.parametrize("name", ONE_PER_FAMILY)


def forward(name: str, size: int) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = on_meta(name)(torch.empty(1, 3, size, size, device="meta"))
    return logits


def block_of(backbone: catalogue.Backbone, path: str) -> list[str]:
    """The blocks that a module, parameter or buffer is in."""
    above = set(catalogue.lineage(path))
    return [block.name for block in backbone.blocks if above & set(block.modules)]


def calls(backbone: catalogue.Backbone, size: int) -> Iterator[str]:
    """Blocks in the order in which a forward pass calls their modules, without repetitions in a row."""
    called: list[str] = []
    hooks = [
        module.register_forward_pre_hook(lambda *_, path=path: called.append(path))
        for path, module in on_meta(backbone.name).named_modules()
    ]
    forward(backbone.name, size)
    for hook in hooks:
        hook.remove()
    owners = [blocks[0] for path in called if (blocks := block_of(backbone, path))]
    return (owner for owner, _ in groupby(owners))


def test_every_classification_model_is_there() -> None:
    assert sorted(catalogue.names()) == sorted(survey.architectures())
    assert len(catalogue.names()) >= 80


@every_backbone
def test_everything_is_in_exactly_one_block(name: str) -> None:
    backbone, model = catalogue.get(name), on_meta(name)
    leaves = [path for path, module in model.named_modules() if not any(module.children())]
    for path in [*model.state_dict(), *dict(model.named_buffers()), *leaves]:
        assert len(block_of(backbone, path)) == 1, path

    assert sum(block.parameters for block in backbone.blocks) == backbone.parameters
    assert backbone.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert all(block.parameters > 0 for block in backbone.blocks)


@every_backbone
def test_blocks_are_in_forward_order_and_the_head_is_last(name: str) -> None:
    """At the smallest size, which so is shown to run."""
    backbone = catalogue.get(name)
    assert list(calls(backbone, backbone.min_size)) == [block.name for block in backbone.blocks]
    assert 3 <= len(backbone.blocks) <= 30

    head = backbone.blocks[-1]
    assert head.name == "head"
    assert [layer.path for layer in head.layers] == [backbone.head.path]
    assert head.parameters == backbone.head.parameters(1000)


@every_backbone
def test_a_block_and_a_module_of_one_name_are_one_thing(name: str) -> None:
    backbone = catalogue.get(name)
    paths = {above for layer in backbone.layers for above in catalogue.lineage(layer.path)}
    for block in backbone.blocks:
        if block.name in paths:
            below = {layer.path for layer in backbone.layers if block.name in catalogue.lineage(layer.path)}
            assert below == {layer.path for layer in block.layers}


@pytest.mark.skipif(
    not catalogue.FILE.read_text(encoding="utf-8").startswith(SAME_TORCHVISION),
    reason="the catalogue was written with another torchvision",
)
@pytest.mark.usefixtures("norms_do_nothing")
@every_backbone
def test_the_file_says_what_a_survey_says_now(name: str) -> None:
    assert survey.describe(name, on_meta(name)) == catalogue.get(name)


def test_the_file_is_what_the_command_writes() -> None:
    written = survey.render(catalogue.get(name) for name in sorted(catalogue.names()))
    text = catalogue.FILE.read_text(encoding="utf-8")
    assert written.partition(",")[2] == text.partition(",")[2]
    assert len(text) < 1_000_000


@one_per_family
def test_sizes_that_run(name: str) -> None:
    backbone = catalogue.get(name)
    own = backbone.preprocessing.crop
    assert forward(name, own).shape == (1, 1000)
    for size in (backbone.min_size + 1, own - 7, own + 32):
        if backbone.fixed_size:
            with pytest.raises((RuntimeError, AssertionError, ValueError)):
                forward(name, size)
        else:
            assert forward(name, size).shape == (1, 1000)


def test_it_needs_no_torch_and_few_calls() -> None:
    code = "from core.backbones import catalogue; catalogue.get('resnet50'); import sys; print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"

    catalogue._entries.cache_clear()
    assert calls_of(catalogue.names) < 1000  # The file is parsed; no object is made of what nobody has asked for.


def test_what_is_published() -> None:
    backbone = catalogue.get("resnet50")
    assert (backbone.title, backbone.family, backbone.parameters) == ("ResNet-50", "ResNet", 25_557_032)
    assert backbone.weights is not None
    assert backbone.weights.file == "resnet50-11ad3fa6.pth"
    assert backbone.weights.accuracy == 80.858
    assert backbone.weights.size == pytest.approx(102_540_417, abs=1000)  # The file's length in bytes.
    assert backbone.preprocessing == catalogue.Preprocessing(
        resize=232, crop=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), interpolation="bilinear"
    )
    assert catalogue.get("efficientnet_v2_l").preprocessing.mean == (0.5, 0.5, 0.5)
    assert catalogue.get("vit_b_16").title == "ViT-B/16"


def test_preprocessing_at_another_size() -> None:
    own = catalogue.get("resnet50").preprocessing
    assert own.at(None) == own
    assert (own.at(112).resize, own.at(112).crop, own.at(112).mean) == (116, 112, own.mean)


@pytest.mark.parametrize(
    ("name", "nearest"), [("resnet51", "resnet50"), ("ResNet-50", "resnet50"), ("vgg16bn", "vgg16_bn"), ("", "alexnet")]
)
def test_an_unknown_backbone(name: str, nearest: str) -> None:
    with pytest.raises(BadRecipe, match=r"backbone = .*there is no such backbone") as caught:
        catalogue.get(name)
    if name:
        assert f'"{nearest}"' in str(caught.value)


def test_select_takes_blocks_modules_and_layers() -> None:
    backbone = catalogue.get("resnet18")
    blocks = {block.name: frozenset(layer.path for layer in block.layers) for block in backbone.blocks}

    assert catalogue.select(backbone, "all") == frozenset(layer.path for layer in backbone.layers)
    assert catalogue.select(backbone, ["head"]) == {"fc"}
    assert catalogue.select(backbone, ["layer1", "layer3"]) == blocks["layer1"] | blocks["layer3"]
    assert catalogue.select(backbone, ["layer4.1.conv2"]) == {"layer4.1.conv2"}
    assert catalogue.select(backbone, ["layer4.0", "layer4.1"]) == blocks["layer4"]


def test_bare_parameters_are_layers() -> None:
    vit = catalogue.get("vit_b_16")
    attention = "encoder.layers.encoder_layer_0.self_attention"
    inside = {f"{attention}.{name}" for name in ("in_proj_weight", "in_proj_bias", "out_proj")}
    assert catalogue.select(vit, ["class_token"]) == {"class_token"}
    assert catalogue.select(vit, ["embedding"]) == {"conv_proj", "class_token", "encoder.pos_embedding"}
    assert catalogue.select(vit, [attention]) == inside
    assert catalogue.select(catalogue.get("convnext_tiny"), ["features.1.0.layer_scale"])


@pytest.mark.parametrize(
    ("wrong", "nearest"), [("layer5", "layer4"), ("layer4.1.con2", "layer4.1.conv2"), ("Head", "head"), ("h", "head")]
)
def test_an_unknown_layer(wrong: str, nearest: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        catalogue.select(catalogue.get("resnet50"), ["head", wrong, "nonsense"])
    faults = caught.value.faults
    assert [(fault.field, fault.value) for fault in faults] == [("trainable", wrong), ("trainable", "nonsense")]
    assert f'"{nearest}"' in str(faults[0].advice)


def test_nothing_to_train() -> None:
    with pytest.raises(BadRecipe, match="chooses nothing to train"):
        catalogue.select(catalogue.get("resnet18"), [])


@pytest.mark.parametrize(
    "names",
    [("head",), ("layer1", "head"), ("stem", "layer2.0", "layer3.1.conv2", "head"), ("layer1.0.bn1", "layer1.1")],
)
def test_names_of_is_select_backwards(names: tuple[str, ...]) -> None:
    backbone = catalogue.get("resnet18")
    assert catalogue.names_of(backbone, catalogue.select(backbone, names)) == names


@one_per_family
def test_names_of_everything_are_the_blocks(name: str) -> None:
    backbone = catalogue.get(name)
    everything = catalogue.select(backbone, "all")
    assert catalogue.names_of(backbone, everything) == tuple(block.name for block in backbone.blocks)
    some = frozenset(sorted(everything)[::3])
    assert catalogue.select(backbone, catalogue.names_of(backbone, some)) == some


def test_parameter_counts() -> None:
    backbone = catalogue.get("squeezenet1_1")
    head = catalogue.select(backbone, ["head"])
    assert catalogue.parameter_counts(backbone, head, classes=5) == (5 * 513, 1_235_496 - 1000 * 513)
    maxvit = catalogue.get("maxvit_t")
    assert catalogue.parameter_counts(maxvit, frozenset({"classifier.5"}), classes=2)[0] == 2 * 512
