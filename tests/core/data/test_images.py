"""Pictures come out as a person sees them, or with a sentence."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.images import ORIENTATION, decode
from core.errors import BadImage
from tests.conftest import SAMPLE_DATA

OWL = SAMPLE_DATA / "stamps" / "birds" / "owl.jpg"
RED, WHITE = (255, 0, 0), (255, 255, 255)


def corner(path: Path) -> tuple[int, ...]:
    image = decode(path)
    assert image.mode == "RGB"
    pixel = image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert decode(tmp_path / "turned.jpg").size == (20, 40)


def test_transparent_pixels_are_white_whatever_colour_they_hide(tmp_path: Path) -> None:
    Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert corner(tmp_path / "clear.png") == WHITE


def test_a_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    image = Image.new("P", (20, 20), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "palette.gif", transparency=0)
    assert corner(tmp_path / "palette.gif") == WHITE


def test_sixteen_bit_grey_keeps_its_shades(tmp_path: Path) -> None:
    shades = np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20)
    Image.fromarray(shades).save(tmp_path / "deep.png")
    values = np.asarray(decode(tmp_path / "deep.png"))[..., 0]
    assert (values[0, 0], values[-1, -1]) == (0, 255)
    assert abs(float(values.mean()) - 127.5) < 1


def test_floating_point_grey_keeps_its_shades(tmp_path: Path) -> None:
    Image.fromarray(np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)).save(tmp_path / "float.tiff")
    values = np.asarray(decode(tmp_path / "float.tiff"))[..., 0]
    assert (values[0, 0], values[-1, -1]) == (0, 255)


@pytest.mark.parametrize(("mode", "colour"), [("CMYK", (0, 255, 255, 0)), ("RGB", RED)])
def test_colour_modes(tmp_path: Path, mode: str, colour: tuple[int, ...]) -> None:
    Image.new(mode, (20, 20), colour).save(tmp_path / "image.tiff")
    assert corner(tmp_path / "image.tiff") == RED


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert corner(tmp_path / "moving.gif") == RED


def test_half_a_jpeg_is_damaged(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)).save(whole)
    (tmp_path / "half.jpg").write_bytes(whole.read_bytes()[:2000])
    with pytest.raises(BadImage, match=r"half\.jpg is damaged"):
        decode(tmp_path / "half.jpg")


@pytest.mark.parametrize("content", [b"", b"hello", b"<html></html>", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_what_only_claims_to_be_a_picture(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "fake.jpg").write_bytes(content)
    with pytest.raises(BadImage, match=r"fake\.jpg is not a picture"):
        decode(tmp_path / "fake.jpg")


@pytest.mark.parametrize(
    ("size", "sentence"), [((1, 1), "at least 10"), ((10, 9000), "20 times the other"), ((10001, 5000), "limits are")]
)
def test_sizes_are_refused_before_decoding(tmp_path: Path, size: tuple[int, int], sentence: str) -> None:
    Image.new("1", size).save(tmp_path / "odd.png")
    with pytest.raises(BadImage, match=sentence):
        decode(tmp_path / "odd.png")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A photo of 1,600 × 1,200 pixels."""
    decode(OWL).resize((1600, 1200)).save(tmp_path / "large.jpg", quality=90)
    return tmp_path / "large.jpg"


@pytest.mark.parametrize(
    ("least", "shorter"), [(1200, 1200), (601, 1200), (600, 600), (301, 600), (300, 300), (224, 300), (32, 150)]
)
def test_a_large_jpeg_comes_at_the_nearest_fraction_above_what_is_needed(large: Path, least: int, shorter: int) -> None:
    assert min(decode(large, least=least).size) == shorter


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("turn", [1, 6])
def test_a_fraction_shows_what_the_whole_shows(large: Path, tmp_path: Path, mode: str, turn: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    decode(large).convert(mode).save(tmp_path / "other.jpg", exif=exif, quality=90)
    whole, fraction = decode(tmp_path / "other.jpg"), decode(tmp_path / "other.jpg", least=250)
    assert fraction.mode == "RGB"
    assert fraction.size == ((300, 400) if turn == 6 else (400, 300))
    reduced = whole.resize(fraction.size, Image.Resampling.BOX)
    difference = np.abs(np.asarray(reduced, dtype=float) - np.asarray(fraction, dtype=float))
    assert difference.mean() < 1.0


def test_what_is_no_jpeg_comes_whole(large: Path, tmp_path: Path) -> None:
    decode(large).save(tmp_path / "large.png")
    assert decode(tmp_path / "large.png", least=32).size == (1600, 1200)


def test_half_of_a_large_jpeg_is_damaged_at_a_fraction_too(large: Path, tmp_path: Path) -> None:
    (tmp_path / "half.jpg").write_bytes(large.read_bytes()[: large.stat().st_size // 2])
    with pytest.raises(BadImage, match=r"half\.jpg is damaged"):
        decode(tmp_path / "half.jpg", least=32)
