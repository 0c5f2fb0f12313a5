"""Where a network looked: against a class activation map by hand, and for every family."""

import pytest
import torch
from torch import Tensor, nn

from core.backbones import catalogue
from core.data.tensors import Normalise
from core.results.heat_map import looking
from tests.core.backbones.networks import ONE_PER_FAMILY, quickly_built


class Pooled(nn.Module):
    """One convolution, a mean over the places, one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images).mean((2, 3)))


def test_it_is_the_class_activation_map_where_a_mean_and_one_layer_follow() -> None:
    torch.manual_seed(0)
    model = Pooled().eval()
    normalise = Normalise(catalogue.get("resnet18").preprocessing)
    square = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        places = model.body(normalise(square[None]))[0]
        by_hand = torch.einsum("kc,chw->khw", model.head.weight, places).relu()
        by_hand = by_hand / by_hand.amax((1, 2), keepdim=True)
    found = looking(model, normalise, 8)(square, [0, 1])
    assert torch.tensor(found) == pytest.approx(by_hand, abs=1e-5)


def test_what_speaks_for_nothing_is_dark() -> None:
    model = Pooled().eval()
    with torch.no_grad():
        model.head.weight.zero_()
    normalise = Normalise(catalogue.get("resnet18").preprocessing)
    found = looking(model, normalise, 8)(torch.zeros(3, 8, 8, dtype=torch.uint8), [0])
    assert torch.tensor(found).abs().sum() == 0


class Negated(nn.Module):
    """A network that says the opposite."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return -self.model(images)


@pytest.mark.parametrize("name", ONE_PER_FAMILY)
def test_every_family_looks_at_places(name: str) -> None:
    backbone = catalogue.get(name)
    size = backbone.preprocessing.crop if backbone.fixed_size else max(backbone.min_size, 64)
    model = quickly_built(name, 3).eval()
    square = torch.randint(0, 256, (3, size, size), dtype=torch.uint8)
    normalise = Normalise(backbone.preprocessing)
    for_it, against = (
        torch.tensor(looking(one, normalise, size)(square, [0, 1, 2])) for one in (model, Negated(model).eval())
    )
    assert for_it.ndim == 3
    assert min(for_it.shape[1:]) > 1
    assert min(for_it.min(), against.min()) >= 0
    strongest = torch.maximum(for_it, against).amax((1, 2))
    assert strongest.tolist() == [1, 1, 1]  # What does not speak for a class speaks against it.
    assert (torch.minimum(for_it, against) == 0).all()
