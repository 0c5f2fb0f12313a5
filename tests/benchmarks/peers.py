"""What the peers share: the network, and pictures in batches as PyTorch's transfer learning tutorial loads them."""

import os
from pathlib import Path

from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader
from torchvision import models, transforms
from torchvision.datasets import ImageFolder

from core.backbones import catalogue, pretrained
from tests.benchmarks.job import BACKBONE, BATCH_SIZE, Job

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
WORKERS = os.cpu_count() or 1
"""Processes that load pictures: as many as PyTorch advises for this machine, and fastai takes by itself."""

frame = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])


def loaders(job: Job) -> tuple[DataLoader, DataLoader]:
    """Batches of the training pictures, shuffled, and of the validation pictures."""
    seen = transforms.Compose([frame, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    train, val = (ImageFolder(Path(job.folder) / part, seen) for part in ("train", "val"))
    return (
        DataLoader(train, batch_size=BATCH_SIZE, shuffle=True, num_workers=WORKERS),
        DataLoader(val, batch_size=BATCH_SIZE, num_workers=WORKERS),
    )


def network(job: Job, classes: int) -> nn.Module:
    """torchvision's MobileNetV2 with Thaw's pretrained weights and a new last layer; only the job's blocks learn."""
    backbone = catalogue.get(BACKBONE)
    weights = load_file(pretrained.bundled_file(backbone))
    model = models.mobilenet_v2()
    model.features.load_state_dict({key.removeprefix("features."): value for key, value in weights.items()})
    model.classifier[1] = nn.Linear(model.last_channel, classes)
    model.requires_grad_(False)
    for block in backbone.blocks:
        if job.trainable == "all" or block.name in job.trainable:
            for path in block.modules:
                model.get_submodule(path).requires_grad_(True)
    return model


def learning(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
