"""The plain program that people take home takes the same steps as Thaw, when chance is taken out of both.

Chance is in where training starts, the order of the pictures and dropout; `tests.benchmarks.taken_home` leaves it in.
"""

import copy
import importlib.util
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from core.backbones.pretrained import COUNTER
from core.data.tensors import shuffled
from core.events import EpochEnded
from core.presets import PRESETS, expand
from core.recipe import Recipe
from core.recipe_settings import parse
from core.results.export.card import Facts
from core.results.export.packing import export
from core.results.export.script import OPTIMIZERS
from core.training.kept_model import load_model
from core.training.loop import train
from core.training.setup import prepare
from tests.conftest import result_of

SETTINGS = {
    "image_size": 64,
    "epochs": 2,
    "batch_size": 16,
    "keep": "last",
    "precision": "fp32",
    "penalties": {"l1": 1e-3, "l2": 1e-4},
}
FROM_SCRATCH = {"backbone": "resnet18", "batch_size": 30}
"""MobileNetV2 has so many BatchNorms that rounding alone leads elsewhere in a step, where nothing was learnt yet. In
one batch: of several, the program averages the variances, where Thaw takes that of all pictures."""


def noise(folder: Path) -> Path:
    """Pictures of two classes that are alike: where classes differ much, a step is so long that rounding shows."""
    draw = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = draw.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def without_dropout(_dropout: nn.Module, values: Tensor) -> Tensor:
    return values


def loaded(program: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("plain_program", program)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def same_orders(recipe: Recipe, passes: int) -> Callable[[int], Tensor]:
    """What `torch.randperm` is to be: Thaw's order for each epoch, in each of its `passes` over the pictures."""
    epochs = iter([epoch for epoch in range(1, recipe.epochs + 1) for _ in range(passes)])
    return lambda count: torch.tensor(shuffled(count, recipe.seeds.order, next(epochs)))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("preset", PRESETS)
def test_the_program_takes_the_same_steps(
    preset: str,
    optimizer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = {
        "data": str(noise(tmp_path / "pictures")),
        "preset": preset,
        "optimizer": {"name": optimizer},
    }
    more = FROM_SCRATCH if preset == "from_scratch" else {}
    recipe = parse(expand(settings | SETTINGS | more)[0])
    monkeypatch.setattr(nn.Dropout, "forward", without_dropout)
    start = copy.deepcopy(result_of(prepare(recipe, None)).model.state_dict())
    weights = tmp_path / "model.safetensors"
    ended = [event for event in train(recipe, weights, tmp_path / "features") if isinstance(event, EpochEnded)]
    with zipfile.ZipFile(result_of(export("train", weights, Facts("a run", (), ""), tmp_path, tmp_path))) as archive:
        archive.extractall(tmp_path)

    program = loaded(tmp_path / "train.py")
    build = program.build

    def same_start() -> nn.Module:
        model: nn.Module = build()
        model.load_state_dict(start)
        return model

    monkeypatch.setattr(program, "build", same_start)
    passes = 2 if hasattr(program, "settle_statistics") else 1
    monkeypatch.setattr(torch, "randperm", same_orders(recipe, passes))
    program.main()
    said = [float(text) for text in re.findall(r"cross-entropy ([\d.]+)", capsys.readouterr().out)]
    # Adam's first steps are as long for a gradient that is rounding alone: the weights of deep networks drift by it.
    drifts = optimizer != "sgd" and preset != "feature_extraction"
    assert said == pytest.approx([one.val.cross_entropy for one in ended if one.val], abs=0.05 if drifts else 2e-3)
    reached, kept = torch.load(tmp_path / "trained.pt", weights_only=True), load_model(weights).state
    learnt = [name for name in kept if not name.endswith(COUNTER)]
    assert drifts or distance(reached, kept, learnt) < 0.01 * distance(kept, start, learnt)


def distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor], names: Iterable[str]) -> float:
    return sum(float((one[name].double() - other[name].double()).square().sum()) for name in names) ** 0.5
