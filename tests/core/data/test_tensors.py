"""What the network sees is what torchvision's own transforms would show it, in batches of a known order."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import models
from torchvision.transforms.v2.functional import pil_to_tensor

from core.backbones import catalogue
from core.backbones.catalogue import Preprocessing
from core.data.images import decode
from core.data.tensors import (
    CROP_RATIO,
    CROP_SCALE,
    Normalise,
    Variants,
    cut_into_batches,
    framing,
    kept_in_memory,
    mirrored,
    plain_square,
    read_ahead,
    read_pixels,
    shuffled,
    varied,
    whole_picture,
)
from tests.conftest import SAMPLE_DATA

PHOTO = SAMPLE_DATA / "stamps" / "birds" / "owl.jpg"
AT_64 = catalogue.get("mobilenet_v2").preprocessing.at(64)


def shown(preprocessing: Preprocessing, image: Tensor) -> Tensor:
    """The network's input for one picture: float32 (3, crop, crop)."""
    return Normalise(preprocessing)(framing(preprocessing)(image)[None])[0]


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50", "vit_b_16", "efficientnet_b3", "inception_v3", "swin_t"])
def test_the_same_as_the_weights_own(name: str) -> None:
    """But for a step of 255 here and there: bytes are resized by another library than Pillow's images."""
    backbone = catalogue.get(name)
    assert backbone.weights is not None
    own = models.get_model_weights(name)[backbone.weights.name].transforms()
    image = decode(PHOTO).crop((0, 0, 256, 240))
    step = 1 / (255 * min(backbone.preprocessing.std))
    difference = (shown(backbone.preprocessing, pil_to_tensor(image)) - own(image)).abs()
    assert difference.max() < 1.01 * step
    assert difference.mean() < 0.1 * step


def test_another_size_keeps_the_share_that_is_cut_away() -> None:
    at_128 = catalogue.get("mobilenet_v2").preprocessing.at(128)
    assert (at_128.resize, at_128.crop) == (146, 128)
    assert shown(at_128, read_pixels(PHOTO)).shape == (3, 128, 128)


def test_normalising_keeps_the_channels_last() -> None:
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    assert Normalise(AT_64)(images).is_contiguous(memory_format=torch.channels_last)


def test_a_variation_is_decided_by_its_key() -> None:
    image = read_pixels(PHOTO)
    seen = [varied(AT_64, f"key {number}")(image) for number in range(8)]
    again = [varied(AT_64, f"key {number}")(image) for number in range(8)]
    assert all(torch.equal(one, other) for one, other in zip(seen, again, strict=True))
    assert {one.shape for one in seen} == {(3, 64, 64)}
    assert len({one.numpy().tobytes() for one in seen}) == 8


def test_a_flip_is_the_picture_or_its_mirror_image() -> None:
    square = framing(AT_64)(read_pixels(PHOTO))
    seen = [mirrored(str(number))(square) for number in range(8)]
    assert all(torch.equal(one, square) or torch.equal(one, square.flip(-1)) for one in seen)
    assert len({one.numpy().tobytes() for one in seen}) == 2


@pytest.mark.parametrize("size", [(200, 10), (10, 200), (47, 33)])
def test_a_random_crop_lies_within_any_picture(size: tuple[int, int]) -> None:
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(3, 1, 1).expand(3, *size)
    preprocessing = catalogue.get("mobilenet_v2").preprocessing.at(32)
    for number in range(20):
        seen = varied(preprocessing, str(number))(red)
        assert seen.shape == (3, 32, 32)
        assert seen[1].float().std() < 1e-3


def test_a_small_picture_is_framed_from_all_its_pixels() -> None:
    """None of the samples has twice the pixels that 224 needs."""
    preprocessing = catalogue.get("mobilenet_v2").preprocessing
    assert torch.equal(plain_square(preprocessing, PHOTO), framing(preprocessing)(read_pixels(PHOTO)))
    assert torch.equal(whole_picture(preprocessing, PHOTO), read_pixels(PHOTO))


@pytest.mark.parametrize("size", [(2400, 1600), (1600, 2400), (4000, 700)])
def test_a_large_photo_is_nearly_the_same_at_a_fraction(tmp_path: Path, size: tuple[int, int]) -> None:
    decode(PHOTO).resize(size).save(tmp_path / "large.jpg", quality=90)
    preprocessing = catalogue.get("mobilenet_v2").preprocessing
    exact = framing(preprocessing)(read_pixels(tmp_path / "large.jpg"))
    seen = plain_square(preprocessing, tmp_path / "large.jpg")
    assert not torch.equal(seen, exact)
    assert (seen.float() - exact.float()).abs().mean() < 1.0


@pytest.mark.parametrize("size", [(2400, 1600), (1600, 2400), (880, 900), (4000, 1000)])
def test_the_smallest_random_crop_is_never_enlarged(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "large.jpg")
    preprocessing = catalogue.get("mobilenet_v2").preprocessing
    height, width = whole_picture(preprocessing, tmp_path / "large.jpg").shape[-2:]
    smallest = (CROP_SCALE[0] * width * height * CROP_RATIO[0]) ** 0.5
    assert smallest >= preprocessing.crop
    assert width < size[0]


def test_kept_variants_of_a_picture() -> None:
    plain = plain_square(AT_64, PHOTO)
    flips = Variants(AT_64, "flip").of(PHOTO, "hash", range(2))
    assert torch.equal(flips, torch.stack([plain, plain.flip(-1)]))
    standard = Variants(AT_64, "standard")
    assert torch.equal(standard.of(PHOTO, "hash", range(1)), plain[None])
    expected = [varied(AT_64, f"hash/{number}")(whole_picture(AT_64, PHOTO)) for number in range(3)]
    assert torch.equal(standard.of(PHOTO, "hash", range(1, 4)), torch.stack(expected))


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
