"""Pictures as tensors, kept in memory, ordered and cut into batches."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from core.data.batches import cut_into_batches, kept_in_memory, read_ahead, read_pixels, shuffled


def test_rows_columns_and_colours_keep_their_places(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 30), (10, 20, 30))
    image.putpixel((3, 7), (1, 2, 3))
    image.save(tmp_path / "a.png")
    seen = read_pixels(tmp_path / "a.png")
    assert (seen.dtype, seen.shape) == (torch.uint8, (3, 30, 20))
    assert seen[:, 7, 3].tolist() == [1, 2, 3]
    assert seen[:, 3, 7].tolist() == [10, 20, 30]


def test_what_is_kept_is_read_once_and_no_more_than_the_budget_is_kept() -> None:
    asked: list[Path] = []

    def read(path: Path) -> torch.Tensor:
        asked.append(path)
        return torch.zeros(100, dtype=torch.uint8)

    remembered = kept_in_memory(read, budget=250)
    paths = [Path("a"), Path("b"), Path("c")]
    for path in paths * 3:
        remembered(path)
    assert asked == [*paths, Path("c"), Path("c")]


def test_every_image_once_in_an_order_that_seed_and_epoch_decide() -> None:
    assert sorted(shuffled(50, seed=0, epoch=1)) == list(range(50))
    assert shuffled(50, seed=0, epoch=1) == shuffled(50, seed=0, epoch=1)
    assert shuffled(50, seed=0, epoch=1) != shuffled(50, seed=0, epoch=2)
    assert shuffled(50, seed=0, epoch=1) != shuffled(50, seed=1, epoch=1)


def test_batches() -> None:
    assert cut_into_batches(range(6), 4) == [[0, 1, 2, 3], [4, 5]]
    assert cut_into_batches(range(9), 4) == [[0, 1, 2, 3], [4, 5, 6, 7, 8]]
    assert cut_into_batches(range(1), 4) == [[0]]
    assert cut_into_batches(range(3), 2) == [[0, 1, 2]]


@pytest.mark.parametrize("ahead", [0, 1, 2, 9])
def test_batches_come_in_order_however_many_are_read_ahead(ahead: int) -> None:
    chosen = [[3, 1], [2, 0], [4]]
    batches = list(read_ahead(lambda index: torch.tensor([index]), chosen, ahead))
    assert [batch.flatten().tolist() for batch in batches] == chosen


def test_nothing_is_read_ahead_unless_it_is_wanted() -> None:
    asked: list[int] = []

    def read(index: int) -> torch.Tensor:
        asked.append(index)
        return torch.tensor([index])

    batches = read_ahead(read, [[0, 1], [2, 3]], ahead=0)
    next(batches)
    assert sorted(asked) == [0, 1]
    next(batches)
    assert sorted(asked) == [0, 1, 2, 3]
