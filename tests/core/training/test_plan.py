"""What a recipe comes to, as only the catalogue and the disk can tell."""

from pathlib import Path
from typing import Any

import pytest

from core.errors import BadRecipe, Fault
from core.training.plan import check
from tests.conftest import MakeFolder


def faults_of(settings: dict[str, Any]) -> dict[str, Fault]:
    with pytest.raises(BadRecipe) as caught:
        check(settings)
    return {fault.field: fault for fault in caught.value.faults}


@pytest.fixture
def data(make_folder: MakeFolder) -> str:
    return str(make_folder(a=2, b=2))


@pytest.mark.parametrize(
    ("settings", "field", "advice"),
    [
        ({"backbone": "resnet19"}, "backbone", "resnet18"),
        ({"backbone": "MobileNetV2"}, "backbone", "mobilenet_v2"),
        ({"backbone": "resnet18", "trainable": ["layer5"]}, "trainable", "layer"),
        ({"backbone": "resnet18", "trainable": ["layer4.1.conv3"]}, "trainable", "layer4.1.conv"),
        ({"backbone": "vit_b_16", "image_size": 128}, "image_size", "must be 224"),
        ({"backbone": "inception_v3", "image_size": 60}, "image_size", "at least 75"),
    ],
)
def test_the_nearest_right_thing_is_named(data: str, settings: dict[str, Any], field: str, advice: str) -> None:
    assert advice in str(faults_of({"data": data} | settings)[field].advice)


def test_the_folder_is_looked_at(tmp_path: Path, make_folder: MakeFolder) -> None:
    assert "is not a folder" in str(faults_of({"data": str(tmp_path / "nowhere")})["data"].advice)
    assert "one class only" in str(faults_of({"data": str(make_folder(name="lonely", a=3))})["data"].advice)


def test_faults_of_every_kind_are_listed_together() -> None:
    settings = {
        "data": "nowhere",
        "backbone": "resnet19",
        "epochs": 0,
        "optimizer": {"name": "sgd", "lr": float("nan"), "momentum": 1},
        "colour": "blue",
    }
    assert faults_of(settings).keys() == {
        "data",
        "backbone",
        "epochs",
        "optimizer.lr",
        "optimizer.momentum",
        "colour",
    }


def test_every_unknown_block_is_a_fault_of_its_own(data: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        check({"data": data, "trainable": ["heed", "stage77", "head"]})
    assert [fault.value for fault in caught.value.faults] == ["heed", "stage77"]


def test_a_right_recipe_passes(data: str) -> None:
    settings = {"data": data, "backbone": "resnet18", "trainable": ["layer4.1", "layer3.0.conv2", "head"]}
    assert check(settings).trainable == ("layer4.1", "layer3.0.conv2", "head")


def test_folds_need_pictures_that_are_not_split_yet(make_folder: MakeFolder) -> None:
    root = make_folder("all/train", a=4, b=4).parent
    make_folder("all/val", a=2, b=2)
    assert faults_of({"data": str(root), "folds": 2}).keys() == {"folds"}
    assert check({"data": str(root), "folds": 1, "test_fraction": 0.25}).folds == 1
    assert faults_of({"data": str(root), "folds": "two"}).keys() == {"folds"}


def test_every_fold_has_pictures_to_validate(make_folder: MakeFolder) -> None:
    root = str(make_folder(a=6, b=3))
    assert check({"data": root, "folds": 6}).folds == 6
    assert "at most 6" in str(faults_of({"data": root, "folds": 7})["folds"].advice)
