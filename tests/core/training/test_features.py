"""Cached training gives the same numbers as uncached training, and the cache can be trusted."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core import home
from core.events import EpochEnded, Event, FeaturesReady, Notice, RunStarted, StepEnded
from core.recipe import Recipe
from core.recipe_settings import to_toml
from core.training import features, kept_model
from core.training.features import make_room
from core.training.loop import train
from tests.conftest import MakeFolder, small_recipe
from tests.core.jobs.processes import FORKED, command_line

Train = Callable[..., list[Event]]

SAME_NUMBERS = [
    ("mobilenet_v2", ["stage7", "conv", "head"], 64),
    ("squeezenet1_1", ["fire9", "head"], 64),
    ("resnet18", ["layer4", "head"], 64),
    ("resnet18", ["layer2"], 64),
    ("alexnet", ["head"], 64),
    ("inception_v3", ["Mixed_7c", "head"], 80),
    ("densenet121", ["dense4", "head"], 32),
    ("convnext_tiny", ["stage4", "head"], 32),
    ("vit_b_32", ["head"], 224),
    ("swin_t", ["stage4", "norm", "head"], 32),
]


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


@pytest.fixture
def run(tmp_path: Path, weights_file: Path) -> Train:
    """Trains with features kept in tmp_path."""

    def trained(recipe: Recipe, cached: bool = True) -> list[Event]:
        return list(train(recipe, weights_file, tmp_path / "features" if cached else None))

    return trained


def ready(events: list[Event]) -> FeaturesReady:
    return next(event for event in events if isinstance(event, FeaturesReady))


def about_the_whole_network(events: list[Event]) -> list[str]:
    """The sentences that say that features are not kept."""
    said = [str(event.text) for event in events if isinstance(event, Notice)]
    return [text for text in said if text.startswith("Every epoch runs the whole network")]


def losses(events: list[Event]) -> list[float]:
    return [event.metrics.loss for event in events if isinstance(event, StepEnded)] + [
        event.val.loss for event in events if isinstance(event, EpochEnded) and event.val
    ]


@pytest.mark.parametrize(("name", "trainable", "size"), SAME_NUMBERS, ids=[f"{n}-{t[0]}" for n, t, _ in SAME_NUMBERS])
def test_the_same_numbers_as_without(
    make_folder: MakeFolder,
    run: Train,
    weights_file: Path,
    name: str,
    trainable: list[str],
    size: int,
) -> None:
    settings: dict[str, Any] = {
        "optimizer": {"name": "sgd", "lr": 1e-3},
        "penalties": {"l2": 1e-4},
        "precision": "fp32",
        "batchnorm": "lagging",  # Statistics that are measured at the end carry DenseNet's rounding, tenfold.
    }
    each = 2 if size == 224 else 5  # A picture of that size takes as long as a dozen others.
    data = make_folder(a=each, b=each)
    recipe = small_recipe(data, backbone=name, trainable=trainable, image_size=size, **settings)
    uncached = run(recipe, cached=False)
    expected = dict(kept_model.load_model(weights_file).state)
    cached = run(recipe)
    assert not any(isinstance(event, FeaturesReady) for event in uncached)
    assert ready(cached).reused is False
    assert losses(cached) == pytest.approx(losses(uncached), rel=1e-5)
    for key, tensor in kept_model.load_model(weights_file).state.items():
        torch.testing.assert_close(tensor, expected[key], rtol=1e-5, atol=1e-6)


def test_another_optimizer_reuses_features_and_another_cut_does_not(make_folder: MakeFolder, run: Train) -> None:
    data = make_folder(a=5, b=5)
    assert ready(run(small_recipe(data))).reused is False
    assert ready(run(small_recipe(data, optimizer={"name": "sgd"}, penalties={"l1": 1e-3}, epochs=1))).reused is True
    assert ready(run(small_recipe(data, val_fraction=0.5, batch_size=3))).reused is True
    assert ready(run(small_recipe(data, trainable=["layer4", "head"]))).reused is False
    assert ready(run(small_recipe(data, image_size=40))).reused is False
    assert ready(run(small_recipe(data, seed=1))).reused is False  # Other random weights.


def test_a_changed_picture_is_noticed(make_folder: MakeFolder, run: Train) -> None:
    data = make_folder(a=5, b=5)
    first = ready(run(small_recipe(data)))
    (data / "a" / "0.png").write_bytes((data / "b" / "0.png").read_bytes())
    second = ready(run(small_recipe(data)))
    assert second.reused is False
    assert (first.images, second.images) == (10, 9)  # Equal pictures share a row.
    assert first.numbers == 512


def test_a_damaged_file_is_rebuilt(make_folder: MakeFolder, run: Train, tmp_path: Path) -> None:
    recipe = small_recipe(make_folder(a=5, b=5))
    expected = losses(run(recipe))
    (file,) = (tmp_path / "features").rglob("0.npy")
    damaged = bytearray(file.read_bytes())
    damaged[-7] ^= 0xFF
    file.write_bytes(damaged)
    again = run(recipe)
    assert ready(again).reused is False
    assert losses(again) == expected
    (about,) = (tmp_path / "features").rglob("about.json")
    about.write_text("{", encoding="utf-8")
    assert ready(run(recipe)).reused is False


def kept_features(folder: Path) -> list[Path]:
    """The folders with features; the one of frozen weights lies beside them."""
    return [path for path in (folder / "features").iterdir() if path.is_dir() and path.name != home.FROZEN]


def test_a_full_disk_means_training_without_features(
    make_folder: MakeFolder, run: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(features, "_header", full)
    events = run(small_recipe(make_folder(a=5, b=5)))
    (notice,) = about_the_whole_network(events)
    assert "No space left on device" in notice
    assert any(isinstance(event, EpochEnded) for event in events)
    assert kept_features(tmp_path) == []


def test_features_beyond_the_limit_are_not_kept(
    make_folder: MakeFolder, run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THAW_FEATURES_GB", str((10 * 512 * 4 - 1) / 1e9))
    events = run(small_recipe(make_folder(a=5, b=5)))
    (notice,) = about_the_whole_network(events)
    assert "are allowed" in notice


def test_the_features_unused_for_longest_make_room(tmp_path: Path) -> None:
    now = time.time()
    for age, name in enumerate(["newest", "middle", "oldest"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.npy").write_bytes(bytes(100))
        os.utime(tmp_path / name, (now - age, now - age))
    for age, name in [(60, ".partial-under-way"), (2 * 24 * 3600, ".partial-of-the-dead")]:
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (now - age, now - age))
    make_room(tmp_path, limit=250)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".partial-under-way", "middle", "newest"]


def test_new_features_push_out_the_oldest_within_the_limit(
    make_folder: MakeFolder, run: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = make_folder(a=5, b=5)
    run(small_recipe(data))
    (first,) = kept_features(tmp_path)
    monkeypatch.setenv("THAW_FEATURES_GB", str((10 * 512 * 4 + 1000) / 1e9))
    run(small_recipe(data, seed=1))
    (second,) = kept_features(tmp_path)
    assert first != second


def test_features_in_bfloat16_are_close(make_folder: MakeFolder, run: Train) -> None:
    data = make_folder(a=5, b=5)
    exact = run(small_recipe(data, precision="fp32", backbone="squeezenet1_1", weights="pretrained", image_size=64))
    rounded = run(small_recipe(data, precision="bf16", backbone="squeezenet1_1", weights="pretrained", image_size=64))
    assert losses(rounded) == pytest.approx(losses(exact), rel=0.1)
    assert losses(rounded) != losses(exact)


def test_nothing_but_the_kept_files_is_left(make_folder: MakeFolder, run: Train, tmp_path: Path) -> None:
    run(small_recipe(make_folder(a=5, b=5)))
    (kept,) = kept_features(tmp_path)
    assert sorted(path.name for path in kept.iterdir()) == ["0.npy", "about.json"]
    assert json.loads((kept / "about.json").read_text(encoding="utf-8"))["seconds"] > 0


def test_two_processes_that_want_the_same_features_compute_them_once(
    make_folder: MakeFolder, thaw_home: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(to_toml(small_recipe(make_folder(a=30, b=30), precision="fp32")), encoding="utf-8")
    said = [tmp_path / name for name in "ab"]
    arguments = ["train", str(recipe), "--json"]
    both = [FORKED.Process(target=command_line, args=(str(thaw_home), file, *arguments)) for file in said]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    events = [[json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] for file in said]
    reused = [event["reused"] for run in events for event in run if event["event"] == "features_ready"]
    assert sorted(reused) == [False, True]
    first, second = ([event["metrics"] for event in run if event["event"] == "step_ended"] for run in events)
    assert first == second


def test_variations_are_kept_and_drawn_from(make_folder: MakeFolder, run: Train) -> None:
    data = make_folder(a=5, b=5)
    plain = run(small_recipe(data))
    varied = run(small_recipe(data, augment="standard", views=3, epochs=3))
    assert ready(varied).images == 8 * 3 + 2
    assert losses(varied) != losses(plain)
    again = run(small_recipe(data, augment="standard", views=3, epochs=3))
    assert ready(again).reused is True
    assert losses(again) == losses(varied)
    assert ready(run(small_recipe(data, augment="flip", views=3))).reused is False


@pytest.mark.parametrize(("augment", "rows"), [("none", 41 + 14), ("flip", 2 * 41 + 14), ("standard", 8 * 41 + 14)])
def test_as_many_rows_as_differ_and_are_read(make_folder: MakeFolder, run: Train, augment: str, rows: int) -> None:
    data = make_folder(a=28, b=27)
    events = run(small_recipe(data, augment=augment, views=8, epochs=1))
    started = next(event for event in events if isinstance(event, RunStarted))
    assert (started.train_images, started.val_images) == (41, 14)
    assert ready(events).images == rows


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        ({"augment": "standard"}, 8 * (1 + 2) + 2),
        ({"augment": "standard", "batchnorm": "lagging"}, 8 * 2 + 2),
        ({"augment": "flip"}, 8 * 2 + 2),
        ({"augment": "none"}, 8 + 2),
        ({"augment": "standard", "test_fraction": 0.2}, 6 * (1 + 2) + 2 + 2),
    ],
)
def test_plain_training_pictures_where_statistics_are_estimated(
    make_folder: MakeFolder, run: Train, settings: dict[str, Any], rows: int
) -> None:
    recipe = small_recipe(make_folder(a=5, b=5), trainable=["layer4", "head"], views=2, epochs=1, **settings)
    assert ready(run(recipe)).images == rows


def test_copies_on_both_sides_share_rows(make_folder: MakeFolder, run: Train) -> None:
    """A picture that is in training and, under another name, in validation has its variants and the plain square."""
    data = make_folder(a=5, b=5)
    for label in "ab":
        for number in range(1, 5):
            (data / label / f"{number}.png").write_bytes((data / label / "0.png").read_bytes())
    assert ready(run(small_recipe(data, augment="standard", views=3))).images == 2 * (1 + 3)


def test_variations_are_for_training_only(make_folder: MakeFolder, run: Train) -> None:
    """With a learning rate that changes nothing, validation shows that it sees the pictures as they are."""
    data = make_folder(a=5, b=5)

    def validation(**settings: Any) -> float:
        events = run(small_recipe(data, optimizer={"lr": 1e-30}, epochs=1, precision="fp32", **settings))
        return next(event.val.loss for event in events if isinstance(event, EpochEnded) and event.val)

    assert validation(augment="standard", views=2) == pytest.approx(validation(), rel=1e-6)
    assert validation(augment="standard", views=0) == pytest.approx(validation(), rel=1e-6)


def test_no_kept_variations_means_new_ones_in_every_epoch(make_folder: MakeFolder, run: Train) -> None:
    recipe = small_recipe(make_folder(a=5, b=5), augment="standard", views=0, optimizer={"lr": 1e-30}, batch_size=8)
    events = run(recipe)
    assert not any(isinstance(event, FeaturesReady) for event in events)
    first, second = [event.metrics.loss for event in events if isinstance(event, StepEnded)]
    assert first != pytest.approx(second, rel=1e-4)
    assert losses(run(recipe)) == losses(events)
