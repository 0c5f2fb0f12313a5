"""Pixels keep their places, and what is kept is read once."""

from pathlib import Path

import torch
from PIL import Image

from core.data.pixels import pixels, remembering


def test_rows_columns_and_colours_keep_their_places(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 30), (10, 20, 30))
    image.putpixel((3, 7), (1, 2, 3))
    image.save(tmp_path / "a.png")
    seen = pixels(tmp_path / "a.png")
    assert (seen.dtype, seen.shape) == (torch.uint8, (3, 30, 20))
    assert seen[:, 7, 3].tolist() == [1, 2, 3]
    assert seen[:, 3, 7].tolist() == [10, 20, 30]


def test_what_is_kept_is_read_once_and_no_more_than_the_budget_is_kept() -> None:
    asked: list[Path] = []

    def read(path: Path) -> torch.Tensor:
        asked.append(path)
        return torch.zeros(100, dtype=torch.uint8)

    remembered = remembering(read, budget=250)
    paths = [Path("a"), Path("b"), Path("c")]
    for path in paths * 3:
        remembered(path)
    assert asked == [*paths, Path("c"), Path("c")]
