"""Every backbone with a head for the user's classes, and pretrained weights from where they lie."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models

from core import settings
from core.backbones import catalogue, pretrained
from core.backbones.build import build, construct, parameters_on_meta
from core.errors import WeightsUnavailable
from tests.core.backbones.networks import EVERY, ONE_PER_FAMILY, on_meta, quickly_built, side

CLASSES = 7


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PyTorch's cache folder, empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = settings.torch_cache()
    folder.mkdir(parents=True)
    return folder


def cached(name: str) -> Path:
    backbone = catalogue.get(name)
    assert backbone.weights is not None
    return settings.torch_cache() / backbone.weights.file


def published_state(name: str) -> dict[str, Any]:
    """A state dict with the keys and shapes of torchvision's file, auxiliary heads included.

    Each tensor repeats one number of its own, so that VGG-16's 528 MB take a few kilobytes on the disk.
    """
    options = {"init_weights": False, "aux_logits": True} if name in ("inception_v3", "googlenet") else {}
    with parameters_on_meta():
        state: dict[str, Any] = models.get_model(name, **options).state_dict()
    for number, (key, value) in enumerate(state.items(), start=1):
        filler = torch.tensor(number / 1000 if value.is_floating_point() else number, dtype=value.dtype)
        state[key] = filler.expand(value.shape)
    return state


def owned(state: dict[str, Tensor], backbone: catalogue.Backbone) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if not key.startswith(f"{backbone.head.path}.")}


@pytest.mark.usefixtures("norms_do_nothing")
@pytest.mark.parametrize("name", EVERY)
def test_every_head_is_replaced(name: str) -> None:
    """On the meta device, where ViT-H/14 with its 2.4 GB takes no memory."""
    backbone = catalogue.get(name)
    with parameters_on_meta():
        model = build(backbone, CLASSES, "random").to("meta").eval()
    size = backbone.preprocessing.crop
    with torch.inference_mode():
        assert model(torch.empty(1, 3, size, size, device="meta")).shape == (1, CLASSES)

    wanted = {key: value.shape for key, value in owned(on_meta(name).state_dict(), backbone).items()}
    assert {key: value.shape for key, value in owned(model.state_dict(), backbone).items()} == wanted
    head = sum(parameter.numel() for parameter in model.get_submodule(backbone.head.path).parameters())
    assert head == backbone.head.parameters(CLASSES)


@pytest.mark.parametrize("name", ONE_PER_FAMILY)
def test_a_forward_pass(name: str) -> None:
    model = quickly_built(name, CLASSES).eval()
    with torch.inference_mode():
        logits = model(torch.randn(2, 3, side(name), side(name)))
    assert logits.shape == (2, CLASSES)
    assert logits.isfinite().all()


def test_random_weights_follow_the_seed() -> None:
    def weights(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        return build(catalogue.get("squeezenet1_1"), CLASSES, "random").state_dict()

    first, second, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["features.0.weight"], other["features.0.weight"])


@pytest.mark.parametrize("name", ["efficientnet_b0", "mnasnet0_5"])
def test_a_new_head_begins_near_chance(name: str) -> None:
    """With torchvision's own initialisation for 1000 classes, the loss begins at 4 and at 10."""
    torch.manual_seed(0)
    model = build(catalogue.get(name), CLASSES, "random").train()
    with torch.no_grad():
        logits = model(torch.randn(16, 3, 64, 64))
    loss = nn.functional.cross_entropy(logits, torch.arange(16) % CLASSES)
    assert loss.item() == pytest.approx(torch.tensor(CLASSES).log().item(), abs=0.3)


@pytest.mark.parametrize("name", catalogue.BUNDLED)
def test_bundled_weights_need_no_cache(name: str, cache: Path) -> None:
    backbone = catalogue.get(name)
    assert pretrained.weights_state(backbone) == "bundled"
    state = build(backbone, CLASSES, "pretrained").state_dict()
    file = pretrained.bundled_file(backbone)
    assert file is not None
    for key, value in owned(load_file(file), backbone).items():
        assert torch.equal(state[key], value), key
    assert not any(cache.iterdir())


@pytest.mark.parametrize("name", ["resnet50", "vgg16", "inception_v3", "googlenet", "mnasnet0_5", "vit_b_32"])
def test_weights_from_the_cache(name: str) -> None:
    backbone = catalogue.get(name)
    assert pretrained.weights_state(backbone) == "download"
    published = published_state(name)
    torch.save(published, cached(name))
    assert pretrained.weights_state(backbone) == "cached"

    model = build(backbone, CLASSES, "pretrained")

    state = model.state_dict()
    for key, value in owned(published, backbone).items():
        if not key.startswith(("AuxLogits", "aux")):
            assert torch.equal(state[key], value), key
    assert model.get_submodule(backbone.head.path)(torch.zeros(1, backbone.head.in_features)).shape == (1, CLASSES)
    assert not any(parameter.is_meta for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("name", ["resnet50", "inception_v3", "googlenet"])
def test_cached_weights_compute_what_torchvision_computes(name: str) -> None:
    """The input normalisation of Inception and GoogLeNet included."""
    torch.manual_seed(0)
    backbone = catalogue.get(name)
    options = {"init_weights": False, "aux_logits": True} if name != "resnet50" else {}
    torch.save(models.get_model(name, **options).state_dict(), cached(name))
    images = torch.randn(2, 3, 96, 96)

    theirs = models.get_model(name, weights="DEFAULT").eval()
    ours = build(backbone, CLASSES, "pretrained").eval()
    ours.set_submodule(backbone.head.path, theirs.get_submodule(backbone.head.path))
    with torch.inference_mode():
        assert torch.equal(ours(images), theirs(images))


def test_old_names_of_densenet() -> None:
    name = "densenet121"
    published = published_state(name)
    old = {key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value for key, value in published.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, cached(name))
    state = build(catalogue.get(name), CLASSES, "pretrained").state_dict()
    key = "features.denseblock4.denselayer16.conv2.weight"
    assert torch.equal(state[key], published[key])


def test_old_file_format() -> None:
    """VGG's and Inception's published files are from before PyTorch 1.6 and are not zip archives."""
    torch.save(published_state("resnet18"), cached("resnet18"), _use_new_zipfile_serialization=False)
    assert build(catalogue.get("resnet18"), CLASSES, "pretrained")


def test_nothing_is_downloaded() -> None:
    with pytest.raises(WeightsUnavailable) as caught:
        build(catalogue.get("resnet50"), CLASSES, "pretrained")
    for part in ("resnet50-11ad3fa6.pth", str(settings.torch_cache()), *catalogue.BUNDLED):
        assert part in str(caught.value)


def wrong_files() -> dict[str, Any]:
    resnet34 = published_state("resnet34")
    return {
        "empty": b"",
        "text": b"<html>Please log in to the network</html>",
        "random bytes": bytes(range(256)) * 100,
        "another network": resnet34,
        "a smaller network": {key: value for key, value in resnet34.items() if not key.startswith("layer3.5")},
        "another shape": published_state("resnet18") | {"conv1.weight": torch.zeros(1)},
        "a list": [1, 2, 3],
        "a whole module": nn.Linear(2, 2),
    }


@pytest.mark.parametrize("kind", wrong_files())
def test_a_damaged_file(kind: str) -> None:
    content = wrong_files()[kind]
    path = cached("resnet18")
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(WeightsUnavailable, match="Delete it") as caught:
        build(catalogue.get("resnet18"), CLASSES, "pretrained")
    assert str(path) in str(caught.value)


def test_a_truncated_file() -> None:
    path = cached("resnet18")
    torch.save(construct("resnet18", 224).state_dict(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsUnavailable, match="Delete it"):
        build(catalogue.get("resnet18"), CLASSES, "pretrained")


class Trap:
    """Unpickled by the ordinary pickle, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_code_in_a_weights_file_does_not_run(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Trap(tmp_path / "sprung")}, cached("resnet18"))
    with pytest.raises(WeightsUnavailable, match="Delete it"):
        build(catalogue.get("resnet18"), CLASSES, "pretrained")
    assert not (tmp_path / "sprung").exists()
