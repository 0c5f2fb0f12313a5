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
from core.backbones.cut import cut
from core.backbones.fold import fold
from core.errors import BadRecipe
from core.training.device import (
    Precision,
    autocast,
    choose_precision,
    choose_training_precision,
    find_device,
    first_that_computes,
    in_short,
    lay_channels_last,
    layout_on,
    release_memory,
    set_tf32,
    spare_strided,
    to_device,
)
from core.training.setup import prepare
from tests.conftest import MakeFolder, result_of, small_recipe

CPU = torch.device("cpu")


def test_what_is_asked_for_is_taken() -> None:
    assert choose_precision("fp32", CPU) == "fp32"
    assert choose_precision("bf16", CPU) == "bf16"
    assert choose_precision("auto", torch.device("mps")) == "fp32"


def test_a_device_that_fails_is_passed_over_with_a_sentence() -> None:
    """Tensors on the meta device have no numbers, so that the small test fails there as on a card without code."""
    generator = torch.get_rng_state()
    assert first_that_computes([CPU, torch.device("meta")]) == (CPU, ())
    for devices in ([torch.device("meta"), CPU], [torch.device("meta")]):
        device, (notice,) = first_that_computes(devices)
        assert device == CPU
        assert str(notice).startswith("This run does not use the graphics processor (meta), on which a small test")
        assert "meta tensors" in str(notice)
    assert torch.equal(generator, torch.get_rng_state())


def test_a_device_that_is_asked_for_is_not_replaced() -> None:
    assert find_device("cpu") == (CPU, ())
    if not torch.backends.mps.is_available():
        with pytest.raises(BadRecipe, match="PyTorch finds no such device"):
            find_device("mps")


def test_channels_are_last_but_on_apples_gpus() -> None:
    assert layout_on(CPU, 4) == layout_on(torch.device("cuda"), 4) == torch.channels_last
    assert layout_on(torch.device("mps"), 4) == layout_on(CPU, 2) == torch.contiguous_format
    convolution = nn.Conv2d(3, 4, 3)
    lay_channels_last(nn.Sequential(convolution, nn.Flatten()))
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert to_device(torch.zeros(2, 3, 8, 8), CPU).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(to_device(torch.arange(3), CPU), torch.arange(3))


@pytest.fixture
def tf32_as_before() -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.usefixtures("tf32_as_before")
def test_tf32_changes_nothing_on_the_cpu() -> None:
    torch.manual_seed(0)
    left, right = torch.randn(64, 64), torch.randn(64, 64)
    exact = left @ right
    set_tf32("auto")
    assert torch.backends.cuda.matmul.allow_tf32
    assert torch.equal(left @ right, exact)
    assert in_short("fp32", CPU) == "fp32"


@pytest.mark.usefixtures("tf32_as_before")
def test_each_run_of_a_process_has_the_bits_that_it_asks_for(make_folder: MakeFolder) -> None:
    data = make_folder(a=3, b=3)
    for precision, allowed in (("auto", True), ("fp32", False), ("auto", True), ("bf16", False), ("fp32", False)):
        result_of(prepare(small_recipe(data, precision=precision), None))
        flags = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        assert flags == (allowed, allowed), precision


@pytest.mark.usefixtures("tf32_as_before")
@pytest.mark.parametrize(
    ("wanted", "precision", "capability", "said"),
    [
        ("auto", "fp32", (8, 0), "tf32"),
        ("auto", "fp32", (7, 5), "fp32"),
        ("auto", "bf16", (8, 0), "bf16"),
        ("fp32", "fp32", (9, 0), "fp32"),
    ],
)
def test_tf32_is_said(
    wanted: str, precision: Precision, capability: tuple[int, int], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    set_tf32(wanted)
    assert in_short(precision, torch.device("cuda")) == said


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
