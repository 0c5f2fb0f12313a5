"""A snapshot copies what training changes, and nothing else."""

import torch

from core.backbones import catalogue
from core.backbones.build import freeze, train_mode
from core.training.state import Snapshot
from tests.core.backbones.networks import quickly_built


def test_what_was_taken_comes_back() -> None:
    backbone = catalogue.get("resnet18")
    model = quickly_built("resnet18", 3)
    layers = catalogue.select(backbone, ["layer4", "head"])
    freeze(model, layers)
    train_mode(model, backbone, layers)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    snapshot = Snapshot(model)

    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(torch.randn(4, 3, 32, 32)).sum().backward()
    optimizer.step()
    after = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert not torch.equal(after["layer4.0.bn1.running_mean"], before["layer4.0.bn1.running_mean"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in snapshot.state().items())

    snapshot.restore()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    model.load_state_dict(after)
    snapshot.take()
    assert all(torch.equal(tensor, after[name]) for name, tensor in snapshot.state().items())
