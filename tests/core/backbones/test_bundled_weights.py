"""The bundled weights are the files that their README describes, fit torchvision's modules, and know real photos."""

import hashlib
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import (
    MobileNet_V2_Weights,
    SqueezeNet1_1_Weights,
    mobilenet_v2,
    squeezenet1_1,
)

from core.backbones import catalogue, pretrained
from core.data.tensors import Normalise, framing, read_pixels

ROOT = Path(__file__).parents[3]
WEIGHTS = ROOT / "core" / "backbones" / "weights"
STAMPS = ROOT / "sample_data" / "stamps"

# Every photo whose subject is one of ImageNet's classes beyond doubt, whether or not SqueezeNet knows it.
IMAGENET_CLASS = {
    "birds/crowned_crane": "crane bird",
    "birds/drake": "drake",
    "birds/duck": "drake",
    "birds/gander": "goose",
    "birds/hen": "hen",
    "birds/ostrich": "ostrich",
    "birds/peacock": "peacock",
    "birds/pelican": "pelican",
    "birds/penguin": "king penguin",
    "birds/pink_flamingo": "flamingo",
    "birds/rainbow_lorikeet": "lorikeet",
    "birds/rooster": "cock",
    "birds/tucan": "toucan",
    "birds/vulture": "vulture",
    "fruit/apple_granny_smith": "Granny Smith",
    "fruit/banana": "banana",
    "fruit/cherimoya": "custard apple",
    "fruit/lemon": "lemon",
    "fruit/orange": "orange",
    "fruit/pineapple": "pineapple",
    "fruit/pomegranate": "pomegranate",
    "fruit/strawberry": "strawberry",
    "mammals/badger": "badger",
    "mammals/beaver": "beaver",
    "mammals/bison": "bison",
    "mammals/chimp": "chimpanzee",
    "mammals/dingo": "dingo",
    "mammals/dromedary": "Arabian camel",
    "mammals/elephant": "African elephant",
    "mammals/european_bear": "brown bear",
    "mammals/fox": "red fox",
    "mammals/gorilla": "gorilla",
    "mammals/hippopotamus": "hippopotamus",
    "mammals/horse": "sorrel",
    "mammals/lion": "lion",
    "mammals/lion_2": "lion",
    "mammals/marmot": "marmot",
    "mammals/orca": "killer whale",
    "mammals/pig": "hog",
    "mammals/pig_golden": "hog",
    "mammals/pig_golden2": "hog",
    "mammals/ram": "ram",
    "mammals/sea_lion": "sea lion",
    "mammals/squirrel": "fox squirrel",
    "mammals/tiger": "tiger",
    "mammals/tiger_sumatran": "tiger",
    "mammals/wildboar": "wild boar",
    "mammals/zebra": "zebra",
    "vegetables/broccoli": "broccoli",
    "vegetables/corn": "corn",
    "vegetables/mushroom": "mushroom",
    "vegetables/pepper": "bell pepper",
    "vegetables/yellowpepper": "bell pepper",
}


@pytest.mark.parametrize("name", ["mobilenet_v2", "squeezenet1_1"])
def test_file_is_the_one_in_the_readme(name: str) -> None:
    section = (WEIGHTS / "README.md").read_text().split(f"## {name}.safetensors")[1].split("\n## ")[0]
    (promised,) = re.findall(r"SHA-256 of the result \| `([0-9a-f]{64})`", section)
    assert hashlib.sha256((WEIGHTS / f"{name}.safetensors").read_bytes()).hexdigest() == promised


def test_mobilenet_is_torchvisions_without_its_classifier() -> None:
    ours = load_file(WEIGHTS / "mobilenet_v2.safetensors")
    theirs = {key: value for key, value in mobilenet_v2().state_dict().items() if not key.startswith("classifier.")}
    assert shapes(ours) == shapes(theirs)


def test_squeezenet_is_torchvisions_with_its_classifier() -> None:
    assert shapes(load_file(WEIGHTS / "squeezenet1_1.safetensors")) == shapes(squeezenet1_1().state_dict())


def test_squeezenet_names_photos() -> None:
    model = squeezenet1_1().eval()
    model.load_state_dict(load_file(WEIGHTS / "squeezenet1_1.safetensors"))
    preprocessing = pretrained.preprocessing_for(catalogue.get("squeezenet1_1"), "pretrained")
    frame = framing(preprocessing)
    squares = torch.stack([frame(read_pixels(STAMPS / f"{name}.jpg")) for name in IMAGENET_CLASS])
    images = Normalise(preprocessing)(squares)
    categories = SqueezeNet1_1_Weights.IMAGENET1K_V1.meta["categories"]
    labels = torch.tensor([categories.index(name) for name in IMAGENET_CLASS.values()])

    with torch.inference_mode():
        hits = model(images).topk(5).indices == labels[:, None]

    # Measured 0.66 and 0.85; with red and blue exchanged 0.40 and 0.60.
    assert hits[:, 0].float().mean() >= 0.6
    assert hits.any(dim=1).float().mean() >= 0.8


def test_no_layer_of_squeezenet_outweighs_the_others() -> None:
    """With an input scale of 58 multiplied into it, the first one had 99 % of the sum of squares."""
    state = load_file(WEIGHTS / "squeezenet1_1.safetensors")
    squares = {name: value.square().sum().item() for name, value in state.items() if not name.startswith("classifier")}
    assert max(squares.values()) < 0.1 * sum(squares.values())
    assert squares["features.0.weight"] == pytest.approx(64 * 27 * 2 / 27, rel=0.2)  # As initialised after He et al.


def test_the_scale_that_was_in_the_first_layer_is_in_the_preprocessing() -> None:
    """The layer takes bytes minus a mean; in the file of before, it took torchvision's normalised pictures."""
    backbone = catalogue.get("squeezenet1_1")
    state = load_file(WEIGHTS / "squeezenet1_1.safetensors")
    weight, bias = (state[f"features.0.{name}"].double() for name in ("weight", "bias"))
    mean, std = (torch.tensor(values).double() for values in (backbone.preprocessing.mean, backbone.preprocessing.std))
    folded = weight * (255 * std).view(1, 3, 1, 1)
    shift = torch.einsum("ocij,c->o", weight, 255 * mean - torch.tensor([123.68, 116.779, 103.939]).double())
    squares = torch.randint(256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

    now = nn.functional.conv2d(
        Normalise(pretrained.preprocessing_for(backbone, "pretrained"))(squares).double(), weight, bias
    )
    before = nn.functional.conv2d(Normalise(backbone.preprocessing)(squares).double(), folded, bias + shift)
    torch.testing.assert_close(now, before, rtol=1e-5, atol=1e-4)


def test_mobilenet_features_beat_random_ones() -> None:
    paths = sorted(STAMPS.glob("*/*.jpg"))
    classes = sorted({path.parent.name for path in paths})
    labels = torch.tensor([classes.index(path.parent.name) for path in paths])
    images = load(paths, MobileNet_V2_Weights.IMAGENET1K_V1.transforms(crop_size=128, resize_size=128))
    torch.manual_seed(0)
    model = mobilenet_v2().eval()

    random = mean_probe_accuracy(pooled(model, images), labels)
    model.load_state_dict(load_file(WEIGHTS / "mobilenet_v2.safetensors"), strict=False)
    pretrained = mean_probe_accuracy(pooled(model, images), labels)

    assert pretrained >= 0.75
    assert pretrained - random >= 0.25


def shapes(state: dict[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {key: (value.shape, value.dtype) for key, value in state.items()}


def load(paths: list[Path], transform: nn.Module) -> Tensor:
    """Images as the network takes them: (N, 3, H, W)."""
    return torch.stack([transform(Image.open(path)) for path in paths])


@torch.inference_mode()
def pooled(model: nn.Module, images: Tensor) -> Tensor:
    """What the classifier would get: (N, 1280)."""
    return torch.cat([model.features(batch).mean((2, 3)) for batch in images.split(32)])


def mean_probe_accuracy(features: Tensor, labels: Tensor) -> float:
    """Validation accuracy of a linear probe, mean of five splits; one split has 39 photos, a step of 2.6 %."""
    return sum(probe_accuracy(features, labels, seed) for seed in range(5)) / 5


def probe_accuracy(features: Tensor, labels: Tensor, seed: int) -> float:
    """Validation accuracy of ridge regression to one-hot targets, on a stratified 75/25 split drawn with `seed`."""
    generator = torch.Generator().manual_seed(seed)
    validates = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        validates[members[torch.randperm(len(members), generator=generator)[: round(len(members) / 4)]]] = True
    train = features[~validates].double()
    scaled = (features.double() - train.mean(0)) / (train.std(0) + 1e-12)
    train = scaled[~validates]
    targets = nn.functional.one_hot(labels[~validates]).double()
    gram = train @ train.T  # With fewer photos than features, the dual problem is the small one.
    coefficients = torch.linalg.solve(gram + gram.diagonal().mean() * torch.eye(len(gram)), targets - targets.mean(0))
    scores = scaled[validates] @ train.T @ coefficients + targets.mean(0)
    return (scores.argmax(1) == labels[validates]).double().mean().item()
