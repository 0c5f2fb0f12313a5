"""What is said before training: checked against what training then does, and against sums worked out by hand."""

from pathlib import Path

import pytest

from core.data.scan import Example, read_image_folder
from core.data.split import Split, draw_of, split
from core.events import FeaturesReady
from core.recipe_settings import parse
from core.training.loop import train
from dashboard.text import byte_size
from dashboard.train.recipe_form import cost_hint
from tests.conftest import MakeFolder, small_recipe


def parts(train: int, val: int, test: int = 0) -> Split:
    """So many pictures."""
    numbers = iter(range(train + val + test))
    chosen = [tuple(Example(Path(str(next(numbers))), 0) for _ in range(count)) for count in (train, val, test)]
    return Split(*chosen, notices=())


def test_the_head_alone() -> None:
    # 1,280 features of 4 bytes for 156 pictures. The head multiplies 1,280 numbers for 1,000 classes, of 301 million.
    assert cost_hint(parse({"data": "x"}), parts(117, 39)) == (
        "The frozen blocks before head do 99.6 % of the network's arithmetic. They run once over 156 pictures; their "
        "features, about 799 kB, are kept, and each epoch runs the rest."
    )


@pytest.mark.parametrize(
    ("settings", "looks", "size"),
    [
        ({"augment": "flip", "views": 3}, 2 * 60 + 40 + 5, "845 kB"),  # There is no third way to mirror a picture.
        ({"augment": "standard", "views": 3}, 3 * 60 + 40 + 5, "1.2 MB"),
        ({"augment": "standard", "views": 3, "trainable": ["stage7", "head"]}, 4 * 60 + 40 + 5, "8.9 MB"),
        (
            {"augment": "standard", "views": 3, "trainable": ["stage7", "head"], "batchnorm": "keep"},
            *(3 * 60 + 40 + 5, "7.1 MB"),
        ),
    ],
    ids=["mirror images", "crops", "BatchNorm is measured over plain ones", "BatchNorm is kept"],
)
def test_variations_are_kept_too(settings: dict[str, object], looks: int, size: str) -> None:
    line = cost_hint(parse({"data": "x"} | settings), parts(60, 40, 5))
    assert f"run once over {looks} looks at 105 pictures" in line
    assert f"about {size}" in line


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"trainable": "all"}, "training begins at its first block"),
        ({"trainable": ["stem", "head"]}, "training begins at its first block"),
        ({"augment": "standard", "views": 0}, "new variations of every picture"),
    ],
)
def test_every_epoch_runs_the_whole_network(settings: dict[str, object], words: str) -> None:
    line = cost_hint(parse({"data": "x"} | settings), parts(60, 40))
    assert line.startswith("Every epoch runs the whole network")
    assert words in line


def test_more_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_FEATURES_GB", "0.001")
    line = cost_hint(parse({"data": "x", "trainable": ["stage1"]}), parts(60, 40))
    # 32 channels of 112 × 112.
    assert line.endswith("makes of 100 pictures would take 161 MB, and 1.0 MB are allowed.")


def test_no_size_is_claimed_for_other_image_sizes() -> None:
    assert "their features are kept" in cost_hint(parse({"data": "x", "image_size": 64}), parts(60, 40))


@pytest.mark.parametrize("trainable", [["head"], ["layer4", "head"], ["layer3"]])
@pytest.mark.parametrize("augment", ["none", "flip", "standard"])
def test_as_many_features_as_were_said(
    make_folder: MakeFolder, tmp_path: Path, trainable: list[str], augment: str
) -> None:
    settings = {"trainable": trainable, "augment": augment, "views": 3, "image_size": 224, "epochs": 1}
    recipe = small_recipe(make_folder(a=3, b=3), test_fraction=0.25, **settings)
    events = list(train(recipe, tmp_path / "model.safetensors", tmp_path / "features"))
    ready = next(event for event in events if isinstance(event, FeaturesReady))
    numbers = {"head": 512, "layer4": 256 * 14 * 14, "layer3": 128 * 28 * 28}[trainable[0]]
    assert ready.numbers == numbers
    # Each part has two pictures. Where BatchNorm learns, the plain ones to train on are kept too.
    plain_too = trainable != ["head"]
    assert ready.images == {"none": 2, "flip": 4, "standard": 8 if plain_too else 6}[augment] + 2 + 2
    drawn = split(read_image_folder(Path(recipe.data)), draw_of(recipe))
    said = cost_hint(recipe, drawn)
    assert byte_size(4 * ready.images * numbers) in said
    assert f"once over {ready.images} {'pictures' if augment == 'none' else 'looks at 6 pictures'}" in said
