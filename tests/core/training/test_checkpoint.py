"""Kept weights come back whole, or not at all."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.backbones.catalogue import Preprocessing
from core.errors import BadCheckpoint
from core.recipe_settings import parse
from core.training.kept_model import KeptModel, load_model, save_model

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
