"""Which modules make up which block, family by family: the only hand-written part of the catalogue.

A plan maps block names to module paths (or to bare parameters such as "class_token"), both in forward order. It also
names modules without parameters, because each dropout belongs to a block: that of the layer that it feeds. So does a
pooling before a linear layer.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any

from torch import nn

Plan = dict[str, list[str]]


def _span(path: str, first: int, stop: int) -> list[str]:
    return [f"{path}.{index}" for index in range(first, stop)]


def _runs(path: str, first: int, keys: Iterable[object]) -> list[list[str]]:
    """The children of `path` from number `first` on, a group for each run of equal keys (one key per child)."""
    groups = groupby(enumerate(keys, start=first), key=lambda pair: pair[1])
    return [[f"{path}.{index}" for index, _ in group] for _, group in groups]


def _resnet(_: Any) -> Plan:
    stem = ["conv1", "bn1", "relu", "maxpool"]
    return {"stem": stem} | {f"layer{i}": [f"layer{i}"] for i in range(1, 5)} | {"head": ["avgpool", "fc"]}


def _alexnet(_: Any) -> Plan:
    bounds = (0, 3, 6, 8, 10, 13)
    convolutions = {f"conv{i + 1}": _span("features", bounds[i], bounds[i + 1]) for i in range(5)}
    fc6 = ["avgpool", *_span("classifier", 0, 3)]
    return convolutions | {"fc6": fc6, "fc7": _span("classifier", 3, 6), "head": ["classifier.6"]}


def _vgg(model: Any) -> Plan:
    pools = [isinstance(module, nn.MaxPool2d) for module in model.features]
    stages = _runs("features", 0, accumulate([0, *pools[:-1]]))  # The number of pools before each module.
    fully_connected = {
        "fc6": ["avgpool", *_span("classifier", 0, 2)],
        "fc7": _span("classifier", 2, 5),
        "head": _span("classifier", 5, 7),
    }
    return {f"conv{i}": stage for i, stage in enumerate(stages, start=1)} | fully_connected


def _squeezenet(model: Any) -> Plan:
    fires = [hasattr(module, "squeeze") for module in model.features]
    stem, *rest = _runs("features", 0, accumulate(fires))  # A pool joins the fire before it.
    return {"stem": stem} | {f"fire{i}": fire for i, fire in enumerate(rest, start=2)} | {"head": ["classifier"]}


def _densenet(_: Any) -> Plan:
    stem = [f"features.{name}" for name in ("conv0", "norm0", "relu0", "pool0")]
    dense = {f"dense{i}": [f"features.denseblock{i}", f"features.transition{i}"] for i in range(1, 4)}
    last = {"dense4": ["features.denseblock4"], "norm": ["features.norm5"], "head": ["classifier"]}
    return {"stem": stem} | dense | last


def _googlenet(_: Any) -> Plan:
    plan = {"stem": ["conv1", "maxpool1", "conv2", "conv3", "maxpool2"]}
    modules = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    plan |= {f"inception{module}": [f"inception{module}"] for module in modules}
    plan["inception3b"].append("maxpool3")
    plan["inception4e"].append("maxpool4")
    return plan | {"head": ["avgpool", "dropout", "fc"]}


def _inception(_: Any) -> Plan:
    first = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1"]
    stem = [*first, "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"]
    modules = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
    mixed = {f"Mixed_{module}": [f"Mixed_{module}"] for module in modules}
    return {"stem": stem} | mixed | {"head": ["avgpool", "dropout", "fc"]}


def _mobilenet_trunk(model: Any) -> Plan:
    """Stages as in the papers' tables: consecutive inverted residuals with equally many output channels."""
    last = len(model.features) - 1
    stages = _runs("features", 1, [module.out_channels for module in model.features[1:last]])
    numbered = {f"stage{i}": stage for i, stage in enumerate(stages, start=1)}
    return {"stem": ["features.0"]} | numbered | {"conv": [f"features.{last}"]}


def _mobilenet_v2(model: Any) -> Plan:
    return _mobilenet_trunk(model) | {"head": _span("classifier", 0, 2)}


def _mobilenet_v3(model: Any) -> Plan:
    hidden = ["avgpool", *_span("classifier", 0, 2)]
    return _mobilenet_trunk(model) | {"hidden": hidden, "head": _span("classifier", 2, 4)}


def _mnasnet(_: Any) -> Plan:
    plan = {"stem": _span("layers", 0, 3), "stage1": _span("layers", 3, 8)}
    plan |= {f"stage{i}": [f"layers.{i + 6}"] for i in range(2, 8)}
    return plan | {"conv": _span("layers", 14, 17), "head": _span("classifier", 0, 2)}


def _efficientnet(model: Any) -> Plan:
    last = len(model.features) - 1
    stages = {f"stage{i}": [f"features.{i}"] for i in range(1, last)}
    head = ["avgpool", *_span("classifier", 0, 2)]
    return {"stem": ["features.0"]} | stages | {"conv": [f"features.{last}"], "head": head}


def _four_stages() -> Plan:
    """ConvNeXt and Swin: a patch embedding, and four stages of which all but the first begin by downsampling."""
    later = {f"stage{i}": _span("features", 2 * i - 2, 2 * i) for i in range(2, 5)}
    return {"stem": ["features.0"], "stage1": ["features.1"]} | later


def _convnext(_: Any) -> Plan:
    return _four_stages() | {"norm": ["avgpool", "classifier.0"], "head": _span("classifier", 1, 3)}


def _swin(_: Any) -> Plan:
    return _four_stages() | {"norm": ["norm", "permute"], "head": ["avgpool", "flatten", "head"]}


def _maxvit(_: Any) -> Plan:
    stages = {f"stage{i + 1}": [f"blocks.{i}"] for i in range(4)}
    return {"stem": ["stem"]} | stages | {"hidden": _span("classifier", 0, 5), "head": ["classifier.5"]}


def _vit(model: Any) -> Plan:
    layers = [f"encoder.layers.{name}" for name, _ in model.encoder.layers.named_children()]
    embedding = ["conv_proj", "class_token", "encoder.pos_embedding", "encoder.dropout"]
    if len(layers) <= 24:
        numbered = {f"layer{i}": [layer] for i, layer in enumerate(layers, start=1)}
    else:  # In pairs, so that ViT-H/14 with its 32 layers fits on a page.
        numbered = {f"layer{i + 1}-{i + 2}": layers[i : i + 2] for i in range(0, len(layers), 2)}
    return {"embedding": embedding} | numbered | {"norm": ["encoder.ln"], "head": ["heads"]}


def _regnet(_: Any) -> Plan:
    stages = {f"stage{i}": [f"trunk_output.block{i}"] for i in range(1, 5)}
    return {"stem": ["stem"]} | stages | {"head": ["avgpool", "fc"]}


def _shufflenet(_: Any) -> Plan:
    stages = {f"stage{i}": [f"stage{i}"] for i in range(2, 5)}
    return {"stem": ["conv1", "maxpool"]} | stages | {"conv5": ["conv5"], "head": ["fc"]}


@dataclass(frozen=True)
class Family:
    """Architectures of one paper: `pattern` matches their torchvision names, its groups fill `title`.

    `min_size` in pixels is given where the meta data of the weights ask for more than the network needs.
    """

    name: str
    pattern: str
    title: str
    plan: Callable[[Any], Plan]
    fixed_size: bool = False
    min_size: int | None = None


FAMILIES = (
    Family("AlexNet", r"alexnet", "AlexNet", _alexnet),
    Family("ConvNeXt", r"convnext_(\w+)", "ConvNeXt-{}", _convnext),
    Family("DenseNet", r"densenet(\d+)", "DenseNet-{}", _densenet),
    Family("EfficientNet", r"efficientnet_(b\d)", "EfficientNet-{}", _efficientnet),
    Family("EfficientNetV2", r"efficientnet_v2_(\w)", "EfficientNetV2-{}", _efficientnet),
    Family("GoogLeNet", r"googlenet", "GoogLeNet", _googlenet),
    Family("Inception", r"inception_v3", "Inception v3", _inception),
    Family("MaxViT", r"maxvit_(\w)", "MaxViT-{}", _maxvit, fixed_size=True),
    Family("MNASNet", r"mnasnet(\d_\d+)", "MNASNet {}", _mnasnet),
    Family("MobileNetV2", r"mobilenet_v2", "MobileNetV2", _mobilenet_v2),
    Family("MobileNetV3", r"mobilenet_v3_(\w+)", "MobileNetV3-{}", _mobilenet_v3),
    Family("RegNet", r"regnet_(\w)_(\w+)", "RegNet{}-{}", _regnet),
    Family("ResNet", r"resnet(\d+)", "ResNet-{}", _resnet),
    Family("ResNeXt", r"resnext(\d+)_(\d+)x(\d+)d", "ResNeXt-{} {}×{}d", _resnet),
    Family("ShuffleNetV2", r"shufflenet_v2_x(\d_\d)", "ShuffleNetV2 {}×", _shufflenet),
    Family("SqueezeNet", r"squeezenet(\d_\d)", "SqueezeNet {}", _squeezenet),
    Family("Swin", r"swin_(\w)", "Swin-{}", _swin, min_size=32),
    Family("SwinV2", r"swin_v2_(\w)", "SwinV2-{}", _swin, min_size=32),
    Family("VGG", r"vgg(\d+)", "VGG-{}", _vgg),
    Family("VGG", r"vgg(\d+)_(bn)", "VGG-{} {}", _vgg),
    Family("ViT", r"vit_(\w)_(\d+)", "ViT-{}/{}", _vit, fixed_size=True),
    Family("Wide ResNet", r"wide_resnet(\d+)_(\d)", "Wide ResNet-{}-{}", _resnet),
)


def find(name: str) -> tuple[Family, str]:
    """The family of a torchvision architecture, and its title for people. Raises LookupError for one without a plan."""
    for family in FAMILIES:
        if match := re.fullmatch(family.pattern, name):
            words = [group.replace("_", ".") for group in match.groups()]
            spelled = [word.capitalize() if word.isalpha() and len(word) > 2 else word.upper() for word in words]
            return family, family.title.format(*spelled)
    raise LookupError(f"torchvision's {name} has no plan yet; add its family to {__name__}.FAMILIES.")
