"""What is said before training: checked against what training then does, and against sums worked out by hand."""

from pathlib import Path

import pytest

from core.events import FeaturesReady
from core.recipe_settings import parse
from core.training.loop import train
from dashboard.train.recipe_form import cost_hint
from tests.conftest import MakeFolder, small_recipe


def test_the_head_alone() -> None:
    # 1,280 features of 4 bytes for 156 pictures. The head multiplies 1,280 numbers for 1,000 classes, of 301 million.
    assert cost_hint(parse({"data": "x"}), pictures=156) == (
        "The frozen blocks before head do 99.6 % of the network's arithmetic. They run once over 156 pictures; their "
        "features, about 799 kB, are kept, and each epoch runs the rest."
    )


def test_variations_are_kept_too() -> None:
    line = cost_hint(parse({"data": "x", "augment": "flip", "views": 3}), pictures=100)
    assert "run once over 4 looks at each of 100 pictures" in line
    assert "about 2.0 MB" in line


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"trainable": "all"}, "training begins at its first block"),
        ({"trainable": ["stem", "head"]}, "training begins at its first block"),
        ({"augment": "standard", "views": 0}, "new variations of every picture"),
    ],
)
def test_every_epoch_runs_the_whole_network(settings: dict[str, object], words: str) -> None:
    line = cost_hint(parse({"data": "x"} | settings), pictures=100)
    assert line.startswith("Every epoch runs the whole network")
    assert words in line


def test_more_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_FEATURES_GB", "0.001")
    line = cost_hint(parse({"data": "x", "trainable": ["stage1"]}), pictures=100)
    # 32 channels of 112 × 112.
    assert line.endswith("makes of 100 pictures would take 161 MB, and 1.0 MB are allowed.")


def test_no_size_is_claimed_for_other_image_sizes() -> None:
    assert "their features are kept" in cost_hint(parse({"data": "x", "image_size": 64}), pictures=100)


@pytest.mark.parametrize("trainable", [["head"], ["layer4", "head"], ["layer3"]])
def test_as_many_features_as_were_said(make_folder: MakeFolder, tmp_path: Path, trainable: list[str]) -> None:
    recipe = small_recipe(make_folder(a=3, b=3), trainable=trainable, image_size=224, epochs=1)
    events = list(train(recipe, tmp_path / "model.safetensors", tmp_path / "features"))
    ready = next(event for event in events if isinstance(event, FeaturesReady))
    numbers = {"head": 512, "layer4": 256 * 14 * 14, "layer3": 128 * 28 * 28}[trainable[0]]
    assert ready.numbers == numbers
    said = {512: "12.3 kB", 256 * 14 * 14: "1.2 MB", 128 * 28 * 28: "2.4 MB"}[numbers]
    assert said in cost_hint(recipe, pictures=6)
