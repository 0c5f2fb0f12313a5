"""Order and batches."""

from core.data.samples import batches, order


def test_every_image_once_in_an_order_that_seed_and_epoch_decide() -> None:
    assert sorted(order(50, seed=0, epoch=1)) == list(range(50))
    assert order(50, seed=0, epoch=1) == order(50, seed=0, epoch=1)
    assert order(50, seed=0, epoch=1) != order(50, seed=0, epoch=2)
    assert order(50, seed=0, epoch=1) != order(50, seed=1, epoch=1)


def test_batches() -> None:
    assert batches(range(6), 4) == [[0, 1, 2, 3], [4, 5]]
    assert batches(range(9), 4) == [[0, 1, 2, 3], [4, 5, 6, 7, 8]]
    assert batches(range(1), 4) == [[0]]
    assert batches(range(3), 2) == [[0, 1, 2]]
