"""Kept weights come back whole, or not at all."""

import os
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core import files, home
from core.backbones.catalogue import Preprocessing
from core.errors import BadCheckpoint
from core.recipe_settings import parse
from core.training.kept_model import (
    KeptModel,
    frozen_of,
    keep_frozen,
    load_changes,
    load_model,
    restore_into,
    save_model,
)
from core.training.loop import train
from tests.conftest import MakeFolder, small_recipe

PREPROCESSING = Preprocessing(resize=40, crop=32, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2), interpolation="bilinear")
STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bn.num_batches_tracked": torch.tensor(7)}
CHECKPOINT = KeptModel(parse({"data": "photos"}), ("Füchse", "<b>"), PREPROCESSING, 3, STATE)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(CHECKPOINT, path)
    return path


def test_everything_comes_back(saved: Path) -> None:
    loaded = load_model(saved)
    assert (loaded.recipe, loaded.classes, loaded.preprocessing, loaded.epoch) == (
        CHECKPOINT.recipe,
        CHECKPOINT.classes,
        PREPROCESSING,
        3,
    )
    assert loaded.state.keys() == STATE.keys()
    assert all(torch.equal(loaded.state[name], tensor) for name, tensor in STATE.items())
    assert [path.name for path in saved.parent.iterdir()] == ["model.safetensors"]


def test_any_flipped_byte_is_noticed(saved: Path) -> None:
    whole = saved.read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0x01
        saved.write_bytes(damaged)
        with pytest.raises(BadCheckpoint):
            load_model(saved)


@pytest.mark.parametrize("content", [b"", b"\x80\x05cposix\nsystem\n", b"\x00" * 500, b"\xff" * 64])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadCheckpoint, match=r"model\.safetensors cannot be read"):
        load_model(path)


def test_a_truncated_file_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-3])
    with pytest.raises(BadCheckpoint):
        load_model(saved)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"nothing\.safetensors"):
        load_model(tmp_path / "nothing.safetensors")


def test_weights_from_elsewhere_are_refused(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "foreign.safetensors")
    with pytest.raises(BadCheckpoint, match="that Thaw did not save"):
        load_model(tmp_path / "foreign.safetensors")


def test_a_failed_write_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        save_model(KeptModel(CHECKPOINT.recipe, ("x", "y"), PREPROCESSING, 4, STATE), saved)
    assert load_model(saved).epoch == 3


FROZEN = frozen_of(STATE, {"weight"})


@pytest.fixture
def resting(tmp_path: Path) -> Path:
    """A model whose statistics are frozen, in a folder of its own, and the shared folder beside it."""
    assert FROZEN
    path = tmp_path / "run" / "model.safetensors"
    keep_frozen(FROZEN, path, tmp_path / "shared")
    save_model(CHECKPOINT, path, FROZEN)
    return path


def rest_of(saved: Path) -> Path:
    (rest,) = saved.parent.glob("frozen-*")
    return rest


def test_what_is_frozen_lies_beside_the_kept_weights_and_both_come_back_as_one(resting: Path) -> None:
    assert load_changes(resting).state.keys() == {"weight"}
    whole = load_model(resting).state
    assert whole.keys() == STATE.keys()
    assert all(torch.equal(whole[name], tensor) for name, tensor in STATE.items())


def test_runs_that_rest_on_the_same_share_one_file(resting: Path, tmp_path: Path) -> None:
    assert FROZEN
    keep_frozen(FROZEN, tmp_path / "other" / "model.safetensors", tmp_path / "shared")
    assert rest_of(resting).samefile(rest_of(tmp_path / "other" / "model.safetensors"))
    assert [path.name for path in (tmp_path / "shared").iterdir()] == [rest_of(resting).name]


def test_a_file_system_without_second_names_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_names: object) -> None:
        raise OSError(1, "Operation not permitted")

    assert FROZEN
    monkeypatch.setattr("os.link", refuse)
    path = tmp_path / "run" / "model.safetensors"
    keep_frozen(FROZEN, path, tmp_path / "shared")
    save_model(CHECKPOINT, path, FROZEN)
    assert load_model(path).state.keys() == STATE.keys()


def test_a_damaged_shared_file_is_not_rested_on(resting: Path, tmp_path: Path) -> None:
    assert FROZEN
    content = bytearray(rest_of(resting).read_bytes())
    content[-1] ^= 1
    rest_of(resting).write_bytes(content)
    with pytest.raises(BadCheckpoint, match=r"frozen-\w+\.safetensors is damaged"):
        load_model(resting)
    other = tmp_path / "other" / "model.safetensors"
    keep_frozen(FROZEN, other, tmp_path / "shared")
    save_model(CHECKPOINT, other, FROZEN)
    assert load_model(other).state.keys() == STATE.keys()


def test_a_missing_rest_is_named(resting: Path) -> None:
    rest_of(resting).unlink()
    with pytest.raises(BadCheckpoint, match=r"frozen-\w+\.safetensors cannot be read, on which"):
        load_model(resting)


def test_what_no_run_rests_on_any_more_is_deleted(resting: Path, tmp_path: Path) -> None:
    (shared,) = (tmp_path / "shared").iterdir()
    long_ago = time.time() - 100
    os.utime(shared, (long_ago, long_ago))
    files.drop_unshared(tmp_path / "shared", 50)
    assert shared.is_file()
    rest_of(resting).unlink()
    files.drop_unshared(tmp_path / "shared", 150)
    assert shared.is_file()
    files.drop_unshared(tmp_path / "shared", 50)
    assert not shared.exists()


@pytest.mark.parametrize("trainable", [["head"], ["layer4", "head"], "all"], ids=str)
def test_a_run_writes_what_it_changed_and_shares_the_rest(
    make_folder: MakeFolder, tmp_path: Path, trainable: str | list[str]
) -> None:
    recipe = small_recipe(make_folder(a=6, b=6), trainable=trainable, epochs=1)
    paths = [tmp_path / name / "model.safetensors" for name in ("one", "two")]
    for path in paths:
        list(train(recipe, path, tmp_path / "features"))
    first, second = (load_model(path).state for path in paths)
    assert all(torch.equal(first[name], second[name]) for name in first)
    if trainable == "all":
        assert not list(paths[0].parent.glob("frozen-*"))
        return
    changed = load_changes(paths[0]).state
    assert rest_of(paths[0]).samefile(rest_of(paths[1]))
    assert len(list((tmp_path / "features" / home.FROZEN).iterdir())) == 1
    assert changed.keys() < first.keys()
    assert any(name.endswith("running_mean") for name in changed) is (trainable == ["layer4", "head"])
    restore_into({"fc.weight": torch.empty(2, 512)}, changed)
