"""Copies are found, strangers are not, and every issue brings a remedy that mends it."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data import quality
from core.data.images import decode
from core.data.picture_info import PictureInfo, infos_of, picture_info
from core.data.quality import Inspection, inspect
from core.data.split import Draw
from tests.conftest import SAMPLE_DATA, MakeFolder, result_of


def inspected(folder: Path, memo: Path) -> Inspection:
    return result_of(inspect(folder, memo, Draw(0.25, 0)))


def texts(inspection: Inspection) -> list[str]:
    return [str(issue.text) for issue in inspection.issues]


@pytest.mark.parametrize("sample", ["stamps", "digits"])
def test_the_samples_are_in_order(sample: str, tmp_path: Path) -> None:
    assert texts(inspected(SAMPLE_DATA / sample, tmp_path / "memo.json")) == []


def brute_force(infos: dict[Path, PictureInfo]) -> set[frozenset[Path]]:
    """All pairs, bit by bit."""
    bits = {path: int(info.perceptual_hash, 16) for path, info in infos.items()}
    return {frozenset((a, b)) for a in bits for b in bits if a != b and (bits[a] ^ bits[b]).bit_count() <= quality.NEAR}


def test_all_pairs_are_found_that_comparing_each_with_each_finds() -> None:
    draw = np.random.default_rng(0)
    known: dict[Path, PictureInfo] = {}
    for group in range(60):
        base = draw.integers(0, 2, 256)
        for member in range(3):
            changed = base.copy()
            changed[draw.choice(256, size=draw.integers(0, 7), replace=False)] ^= 1
            look = np.packbits(changed).tobytes().hex()
            known[Path(f"{group}-{member}")] = PictureInfo(9, 9, f"{group}-{member}", look, False, None)
    pairs = brute_force(known)
    groups = quality.near_groups(known)
    assert all(any(pair <= set(group) for group in groups) for pair in pairs)
    assert {frozenset((group[0], other)) for group in groups for other in group[1:]} <= {
        frozenset((a, b)) for a in known for b in known if a.name.split("-")[0] == b.name.split("-")[0]
    }


def again(path: Path, target: Path, quality: int, scale: float) -> None:
    """The picture saved at another quality and size."""
    image = decode(path)
    image.resize((round(image.width * scale), round(image.height * scale))).save(target, "JPEG", quality=quality)


def test_copies_are_told_from_strangers(tmp_path: Path) -> None:
    originals = sorted((SAMPLE_DATA / "stamps" / "fruit").glob("*.jpg"))[:12]
    known = {path: picture_info(path) for path in originals}
    for path in originals:
        again(path, tmp_path / path.name, 60, 0.6)
        known[tmp_path / path.name] = picture_info(tmp_path / path.name)
    found = set(quality.near_groups(known))
    assert found <= {(path, tmp_path / path.name) for path in originals}
    assert len(found) >= 11  # Of 12, where 95 of 100 are to be expected.
    assert quality.exact_groups(known) == []


@pytest.fixture
def folder(make_folder: MakeFolder) -> Path:
    return make_folder(a=12, b=12)


def leave_out(inspection: Inspection) -> None:
    """Do what the first remedy would, by deleting."""
    for path in inspection.issues[0].leave_out:
        path.unlink()


def test_a_damaged_picture(folder: Path, tmp_path: Path) -> None:
    (folder / "a" / "x.jpg").write_bytes(b"nothing")
    seen = inspected(folder, tmp_path / "memo.json")
    assert texts(seen) == ["Damaged, or no picture at all: 1 picture."]
    assert (
        str(seen.infos[folder / "a" / "x.jpg"].problem)
        == "is not a picture; remove it, or save it again as JPEG or PNG"
    )
    leave_out(seen)
    assert texts(inspected(folder, tmp_path / "memo.json")) == []


def test_an_animation(folder: Path, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (30, 30), colour) for colour in ("red", "blue")]
    frames[0].save(folder / "a" / "x.gif", save_all=True, append_images=frames[1:])
    assert [text for text in texts(inspected(folder, tmp_path / "memo.json")) if text.startswith("Animations")] == [
        "Animations, or files of several pages, of which the first picture is used: 1 picture."
    ]


def test_exact_copies(folder: Path, tmp_path: Path) -> None:
    (folder / "a" / "copy.png").write_bytes((folder / "a" / "1.png").read_bytes())
    seen = inspected(folder, tmp_path / "memo.json")
    assert "Exact copies of others: 1 picture." in texts(seen)
    while (seen := inspected(folder, tmp_path / "memo.json")).issues:
        leave_out(seen)
    assert len(list(folder.rglob("*.png"))) == 24


def test_the_same_picture_in_training_and_validation(tmp_path: Path, make_folder: MakeFolder) -> None:
    folder = make_folder("all/train", a=12, b=12).parent
    make_folder("all/val", a=3, b=3)
    seen = inspected(folder, tmp_path / "memo.json")
    # The noise of a/5 is that of val/b/2 in another colour.
    assert texts(seen)[0] == "In training and in validation: 4 pictures. Accuracy would look better than it is."
    assert {path.parent.parent.name for path in seen.issues[0].leave_out} == {"train"}
    leave_out(seen)
    assert not any("In training and" in text for text in texts(inspected(folder, tmp_path / "memo.json")))


def test_the_same_picture_in_the_test_and_outside_it(tmp_path: Path, make_folder: MakeFolder) -> None:
    folder = make_folder("all/train", a=12, b=12).parent
    make_folder("all/test", a=3, b=3)
    seen = inspected(folder, tmp_path / "memo.json")
    assert texts(seen)[0] == (
        "In the test and outside it: 4 pictures. The test's accuracy would look better than it is."
    )
    assert {path.parent.parent.name for path in seen.issues[0].leave_out} == {"train"}


def test_a_picture_in_two_classes(folder: Path, tmp_path: Path) -> None:
    (folder / "b" / "copy.png").write_bytes((folder / "a" / "1.png").read_bytes())
    seen = inspected(folder, tmp_path / "memo.json")
    assert "In two classes at once: 2 pictures." in texts(seen)


def test_few_pictures_and_imbalance(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder(a=66, b=11, c=3)
    seen = inspected(folder, tmp_path / "memo.json")
    few, imbalance = seen.issues
    assert str(few.text) == "Fewer than 10 pictures, too few to learn from or to measure by: c (3)."
    assert len(few.leave_out) == 3
    assert str(imbalance.text).startswith("a has 66 pictures, c only 3.")
    assert "is right in 82% of cases" in str(imbalance.text)
    assert len(imbalance.leave_out) == 66 - 15


def test_pictures_that_did_not_change_are_not_looked_at_again(folder: Path, tmp_path: Path) -> None:
    paths, memo = sorted(folder.rglob("*.png")), tmp_path / "memo.json"
    for path in paths:
        os.utime(path, (1_600_000_000, 1_600_000_000))
    first = list(infos_of(paths, memo))
    assert len(first) == 1
    assert list(infos_of(paths, memo)) == []
    assert result_of(infos_of(paths, memo))[paths[0]] == picture_info(paths[0])


def test_nothing_to_train_on_is_said(make_folder: MakeFolder, tmp_path: Path) -> None:
    seen = inspected(make_folder(a=12), tmp_path / "memo.json")
    assert seen.folder is None
    assert seen.fault is not None
    assert "pictures of one class only (a)" in str(seen.fault)


def test_a_turned_picture_has_the_size_that_is_seen(tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    file = BytesIO()
    Image.new("RGB", (40, 20)).save(file, "JPEG", exif=tags)
    (tmp_path / "x.jpg").write_bytes(file.getvalue())
    known = picture_info(tmp_path / "x.jpg")
    assert (known.width, known.height) == (20, 40)
