"""`python -m core.backbones.survey` writes catalogue.json from the installed torchvision.

No weights are downloaded and none take memory: the networks are built on the meta device.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from core.backbones.build import construct, freeze, parameters_on_meta, train_mode
from core.backbones.catalogue import FILE, Backbone, Block, Head, Layer, Preprocessing, PretrainedWeights
from core.backbones.cut import features_at_cut, trace
from core.backbones.families import find

OTHER_WEIGHTS = {"mobilenet_v2": "IMAGENET1K_V1"}
"""Weights other than torchvision's default: the bundled MobileNetV2 has the pre-processing of V1."""


def architectures() -> list[str]:
    """The names of torchvision's classification models."""
    names: list[str] = models.list_models(module=models)
    return names


def network(name: str) -> nn.Module:
    """`name` on the meta device, as it would be built for its pretrained weights."""
    with parameters_on_meta():
        return construct(name, _weights(name).transforms().crop_size[0]).to("meta")


def describe(name: str, model: nn.Module) -> Backbone:
    """The catalogue's entry for `name`, from `model` and from the meta data of its weights."""
    family, title = find(name)
    weights = _weights(name)
    preprocessing = _preprocessing(weights)
    plan = family.plan(model)
    size = preprocessing.crop if family.fixed_size else family.min_size
    blocks = tuple(Block(block, tuple(paths), tuple(_layers(model, paths)), 0, 0) for block, paths in plan.items())
    backbone = Backbone(
        name=name,
        title=title,
        family=family.name,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        preprocessing=preprocessing,
        min_size=size or weights.meta["min_size"][0],
        fixed_size=family.fixed_size,
        weights=_published(weights),
        head=_head(model, plan["head"][-1]),
        blocks=blocks,
    )
    return replace(backbone, blocks=tuple(_measured(backbone, model)))


def _weights(name: str) -> Any:
    published = models.get_model_weights(name)
    return published[OTHER_WEIGHTS[name]] if name in OTHER_WEIGHTS else published.DEFAULT


def _preprocessing(weights: Any) -> Preprocessing:
    transforms = weights.transforms()
    return Preprocessing(
        resize=transforms.resize_size[0],
        crop=transforms.crop_size[0],
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        interpolation=transforms.interpolation.value,
    )


def _published(weights: Any) -> PretrainedWeights:
    metrics = weights.meta["_metrics"]["ImageNet-1K"]
    return PretrainedWeights(
        name=weights.name,
        url=weights.url,
        file=weights.url.rpartition("/")[2],
        size=round(weights.meta["_file_size"] * 2**20),
        accuracy=metrics["acc@1"],
        top5=metrics["acc@5"],
    )


def _layers(model: nn.Module, paths: Iterable[str]) -> Iterator[Layer]:
    """The layers below `paths`: modules without parts, and bare parameters of modules that have parts."""
    counts: dict[str, int] = {}
    for path, parameter in model.named_parameters():
        if any(f"{path}.".startswith(f"{above}.") for above in paths):
            owner = path.rpartition(".")[0]
            layer = path if any(model.get_submodule(owner).children()) else owner
            counts[layer] = counts.get(layer, 0) + parameter.numel()
    batchnorms = {path for path, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    return (Layer(path, count, path in batchnorms) for path, count in counts.items())


def _measured(backbone: Backbone, model: nn.Module) -> Iterator[Block]:
    """The blocks, with what comes into each of them and what it takes."""
    size = backbone.preprocessing.crop
    counter = FlopCounterMode(display=False)
    with counter:  # With gradients: without them, attention takes a faster path that is not counted.
        model.eval()(torch.zeros(2, 3, size, size, device="meta"))
    flops = {path.partition(".")[2]: sum(counts.values()) // 2 for path, counts in counter.get_flop_counts().items()}
    traced = trace(model, size)
    for position, block in enumerate(backbone.blocks):
        trainable = frozenset(layer.path for later in backbone.blocks[position:] for layer in later.layers)
        freeze(model, trainable)
        train_mode(model, backbone, trainable)
        inflow = features_at_cut(model, traced)
        yield replace(block, inflow=inflow, flops=sum(flops.get(path, 0) for path in block.modules))


def _head(model: nn.Module, path: str) -> Head:
    """The last layer with parameters at or below `path`."""
    modules = model.get_submodule(path).named_modules(prefix=path)
    path, layer = [pair for pair in modules if isinstance(pair[1], nn.Linear | nn.Conv2d)][-1]
    in_features = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
    return Head(path=path, in_features=in_features, bias=layer.bias is not None)


def render(backbones: Iterable[Backbone]) -> str:
    """The text of catalogue.json, one line per backbone and per block, so that differences can be read."""
    ordered = sorted(backbones, key=lambda backbone: (backbone.family.lower(), backbone.parameters, backbone.name))
    entries = ",\n".join(_entry(backbone) for backbone in ordered)
    return f'{{"torchvision": "{_version()}", "backbones": {{\n{entries}\n}}}}\n'


def _entry(backbone: Backbone) -> str:
    about = dataclasses.asdict(backbone)
    del about["name"], about["blocks"]
    blocks = [
        json.dumps([block.name, block.modules, _parameters(block), _batchnorms(block), block.inflow, block.flops])
        for block in backbone.blocks
    ]
    general = json.dumps(about, ensure_ascii=False).removesuffix("}")
    lines = ",\n  ".join(blocks)
    return f'"{backbone.name}": {general}, "blocks": [\n  {lines}]}}'


def _parameters(block: Block) -> dict[str, int]:
    return {layer.path: layer.parameters for layer in block.layers}


def _batchnorms(block: Block) -> list[int]:
    """Their places among the block's layers."""
    return [place for place, layer in enumerate(block.layers) if layer.is_batchnorm]


def _version() -> str:
    """Without the part after "+", as in "0.29.2+cu132": builds for other devices have the same networks."""
    return str(torchvision.__version__).partition("+")[0]


if __name__ == "__main__":
    FILE.write_text(render(describe(name, network(name)) for name in architectures()), encoding="utf-8")
