"""What computes in which numbers."""

import copy
import gc
import weakref
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from core.backbones import catalogue
from core.backbones.build import build, freeze, train_mode
from core.backbones.cut import cut, fold
from core.training.device import (
    autocast,
    choose_precision,
    choose_training_precision,
    release_memory,
    spare_strided,
)

CPU = torch.device("cpu")


def test_what_is_asked_for_is_taken() -> None:
    assert choose_precision("fp32", CPU) == "fp32"
    assert choose_precision("bf16", CPU) == "bf16"
    assert choose_precision("auto", torch.device("mps")) == "fp32"


def test_a_small_head_stays_in_32_bits_unless_told_otherwise() -> None:
    small, large = nn.Linear(1280, 5), nn.Linear(1280, 1000)
    assert choose_training_precision("auto", small, CPU) == "fp32"
    assert choose_training_precision("bf16", small, CPU) == "bf16"
    assert choose_training_precision("auto", large, CPU) == choose_precision("auto", CPU)


def test_strided_depthwise_convolutions_stay_in_32_bits() -> None:
    torch.manual_seed(0)
    strided = nn.Conv2d(4, 4, 3, stride=2, groups=4)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), strided, nn.Conv2d(4, 4, 3, groups=4))
    plain = copy.deepcopy(strided)
    spare_strided(network, CPU)
    images = torch.randn(2, 4, 8, 8)
    with autocast(CPU, "bf16"):
        types = [layer(images if layer is not network[0] else images[:, :3]).dtype for layer in network]
        assert types == [torch.bfloat16, torch.float32, torch.bfloat16]
        torch.testing.assert_close(strided(images), plain.float()(images).float(), rtol=0.02, atol=0.02)
    assert torch.equal(strided(images), plain(images))


@pytest.fixture
def without_automatic_collection() -> Iterator[None]:
    """So that nothing but `release_memory` collects garbage."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_automatic_collection")
def test_the_weights_of_a_network_that_was_cut_are_let_go() -> None:
    """Otherwise a worker that waits keeps those of the run before: 0.7 GB of ViT-B/16, 1 GB of VGG-11 (measured)."""
    backbone = catalogue.get("squeezenet1_1")
    network = build(backbone, 3, "random")
    head = catalogue.select(backbone, ["head"])
    freeze(network, head)
    train_mode(network, backbone, head)
    halves = cut(network, 64)
    assert halves is not None
    folded = fold(halves.prefix)
    weights = [weakref.ref(tensor) for graph in (network, folded, halves.rest) for tensor in graph.parameters()]
    del network, halves, folded
    release_memory()
    assert not any(weight() is not None for weight in weights)
