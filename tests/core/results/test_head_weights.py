"""The weights of a kept head, counted: against values by hand."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.errors import BadCheckpoint
from core.recipe_settings import parse
from core.results.head_weights import BARS, head_weights

RECIPE = parse({"data": "photos"})


def test_zeros_near_zeros_and_counts(tmp_path: Path) -> None:
    weights = np.array([[0.0, 0.0, 0.0005, -0.5], [1.0, -1.0, 0.25, 0.0]], dtype=np.float32)
    save_file({"classifier.1.weight": weights}, tmp_path / "model.safetensors")
    found = head_weights(tmp_path / "model.safetensors", RECIPE)
    assert (found.count, found.zeros, found.near) == (8, 3 / 8, 1 / 8)
    assert (len(found.counts), len(found.edges), sum(found.counts)) == (BARS, BARS + 1, 8)
    assert found.counts[BARS // 2] == 4
    assert (found.counts[0], found.counts[-1]) == (1, 1)
    assert (found.edges[0], found.edges[-1]) == (-1.0, 1.0)


def test_a_head_of_zeros_has_a_histogram(tmp_path: Path) -> None:
    save_file({"classifier.1.weight": np.zeros((2, 3), dtype=np.float32)}, tmp_path / "model.safetensors")
    found = head_weights(tmp_path / "model.safetensors", RECIPE)
    assert (found.zeros, found.near, found.counts[BARS // 2]) == (1.0, 0.0, 6)


@pytest.mark.parametrize("content", [None, b"no weights", b""])
def test_what_cannot_be_read_is_said(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "model.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadCheckpoint, match="cannot be read as saved weights"):
        head_weights(file, RECIPE)


def test_a_file_of_another_backbone_is_said(tmp_path: Path) -> None:
    save_file({"fc.weight": np.zeros((2, 3), dtype=np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(BadCheckpoint, match="cannot be read as saved weights"):
        head_weights(tmp_path / "model.safetensors", RECIPE)
