"""What files hold is found out once, and again whenever it may have changed."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data import datasets
from core.data.images import thumbnail
from core.data.picture_info import hashes_of, infos_of, memo_file, picture_info
from core.data.quality import inspect
from core.data.split import Draw
from core.errors import BadImage, BadSettings
from core.intake.archive import Member
from core.intake.importer import create_dataset
from tests.conftest import MakeFolder, result_of
from tests.core.intake.bad_archives import picture

LONG_AGO = 1_600_000_000


def write(path: Path, text: str, changed: float = LONG_AGO) -> Path:
    path.write_text(text, encoding="utf-8")
    os.utime(path, (changed, changed))
    return path


def draw(path: Path, seed: int = 0, changed: float = LONG_AGO) -> Path:
    path.write_bytes(picture((30, 20), "BMP", seed))
    os.utime(path, (changed, changed))
    return path


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def recorded(memo: Path) -> dict[str, Any]:
    """What a memo remembers, by path."""
    pictures: dict[str, Any] = json.loads(memo.read_text(encoding="utf-8"))["pictures"]
    return pictures


def doctored(memo: Path, **info: object) -> None:
    """Change what a memo remembers: what comes out of it is told from what was found out anew."""
    values = json.loads(memo.read_text(encoding="utf-8"))
    for row in values["pictures"].values():
        row[1] = "remembered"
        if row[2]:
            row[2] |= {"content": "remembered"} | info
    memo.write_text(json.dumps(values), encoding="utf-8")


def test_a_file_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    file, memo = write(tmp_path / "a", "one"), tmp_path / "memo.json"
    assert result_of(hashes_of([file], memo)) == {file: sha256("one")}
    doctored(memo)
    assert result_of(hashes_of([file], memo)) == {file: "remembered"}


def test_pictures_exchanged_under_the_same_size_and_date_are_noticed(tmp_path: Path) -> None:
    first, second, memo = draw(tmp_path / "a.bmp", 1), draw(tmp_path / "b.bmp", 2), tmp_path / "memo.json"
    before = result_of(infos_of([first, second], memo))
    assert first.stat().st_size == second.stat().st_size
    first.rename(tmp_path / "c.bmp")
    second.rename(first)
    (tmp_path / "c.bmp").rename(second)
    after = result_of(infos_of([first, second], memo))
    assert (after[first], after[second]) == (before[second], before[first])
    draw(first, 3)  # Written over, and given its old date again.
    assert result_of(hashes_of([first, second], memo))[first] == picture_info(first).content


@pytest.mark.parametrize(("text", "changed"), [("three", LONG_AGO), ("two", LONG_AGO + 1)], ids=["size", "time"])
def test_a_file_that_changed_is_read_again(tmp_path: Path, text: str, changed: float) -> None:
    file, memo = write(tmp_path / "a", "one"), tmp_path / "memo.json"
    result_of(hashes_of([file], memo))
    write(file, text, changed)
    assert result_of(hashes_of([file], memo)) == {file: sha256(text)}


def test_a_file_that_changed_just_now_is_not_relied_on(tmp_path: Path) -> None:
    file, memo = tmp_path / "a", tmp_path / "memo.json"
    file.write_text("one", encoding="utf-8")
    result_of(hashes_of([file], memo))
    status = file.stat()
    file.write_text("two", encoding="utf-8")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert result_of(hashes_of([file], memo)) == {file: sha256("two")}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a": 1}', '{"a": [1]}', '{"rules": 1, "pictures": {"a": [1]}}'])
def test_a_damaged_memo_is_written_anew(tmp_path: Path, damage: str) -> None:
    file, memo = write(tmp_path / "a", "one"), tmp_path / "memo.json"
    memo.write_text(damage, encoding="utf-8")
    assert result_of(hashes_of([file], memo)) == {file: sha256("one")}
    assert list(recorded(memo)) == [str(file)]


def test_what_is_gone_is_forgotten_and_said(tmp_path: Path) -> None:
    first, second, memo = write(tmp_path / "a", "one"), write(tmp_path / "b", "two"), tmp_path / "memo.json"
    result_of(hashes_of([first, second], memo))
    result_of(hashes_of([second], memo))
    assert list(recorded(memo)) == [str(first), str(second)]  # Not asked for is not gone.
    first.unlink()
    result_of(hashes_of([second], memo))
    assert list(recorded(memo)) == [str(second)]
    with pytest.raises(BadImage, match="put it back"):
        result_of(hashes_of([first], memo))


def test_the_hash_needs_no_decoding_and_is_found_out_once_for_all(tmp_path: Path) -> None:
    file, memo = write(tmp_path / "a.jpg", "no picture"), tmp_path / "memo.json"
    assert result_of(hashes_of([file], memo)) == {file: sha256("no picture")}
    assert recorded(memo)[str(file)][1:] == [sha256("no picture"), None]
    doctored(memo)
    info = result_of(infos_of([file], memo))[file]
    assert info.content == "remembered"  # Not hashed again.
    assert str(info.problem) == "is not a picture; remove it, or save it again as JPEG or PNG"
    assert result_of(hashes_of([file], memo)) == {file: "remembered"}
    assert list(infos_of([file], memo)) == []


def test_hashes_come_out_of_what_an_inspection_has_found(tmp_path: Path) -> None:
    file, memo = draw(tmp_path / "a.bmp"), tmp_path / "memo.json"
    info = result_of(infos_of([file], memo))[file]
    assert info == picture_info(file)
    assert list(hashes_of([file], memo)) == []
    assert result_of(hashes_of([file], memo)) == {file: info.content}


def test_two_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    """A training run that began before an inspection, and ends after it."""
    files, memo = [draw(tmp_path / f"{n}.bmp", n) for n in range(3)], tmp_path / "memo.json"
    training = hashes_of(files, memo)
    next(training)
    result_of(infos_of(files[:2], memo))
    assert result_of(training).keys() == set(files)
    assert [row[2] is not None for row in recorded(memo).values()] == [True, True, False]


def test_what_was_found_out_before_the_end_is_kept(tmp_path: Path) -> None:
    files, memo = [write(tmp_path / f"{n}", str(n)) for n in range(60)], tmp_path / "memo.json"
    job = hashes_of(files, memo)
    next(job)
    next(job)
    job.close()
    assert len(recorded(memo)) == 50


def test_a_limit_is_remembered_with_what_it_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, memo = draw(tmp_path / "a.bmp"), tmp_path / "memo.json"
    monkeypatch.setenv("THAW_MAX_SIDE", "25")
    assert "the limits are 25 pixels" in str(result_of(infos_of([file], memo))[file].problem)
    assert list(infos_of([file], memo)) == []
    monkeypatch.delenv("THAW_MAX_SIDE")
    assert result_of(infos_of([file], memo))[file].problem is None
    monkeypatch.setenv("THAW_MAX_ASPECT", "1")
    assert "may be at most 1 times" in str(result_of(infos_of([file], memo))[file].problem)
    assert list(hashes_of([file], memo)) == []  # Hashes depend on no limit.


def misspelt_check(folder: Path, memo: Path) -> None:
    result_of(inspect(folder, memo, Draw(0.25, 0)))


def misspelt_import(folder: Path, _memo: Path) -> None:
    members = (Member(f"a/{file.name}", file.read_bytes, 1.0) for file in folder.rglob("*.png"))
    result_of(create_dataset(folder.parent / "library", "mine", "", members, "0" * 12))


def misspelt_thumbnail(folder: Path, _memo: Path) -> None:
    thumbnail(next(folder.rglob("*.png")), 64)


@pytest.mark.parametrize("use", [misspelt_check, misspelt_import, misspelt_thumbnail])
@pytest.mark.parametrize("variable", ["THAW_MAX_FILES", "THAW_MAX_SIDE"])
def test_a_misspelt_setting_damages_no_picture(
    use: Any, variable: str, make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, memo = make_folder(a=12, b=12), tmp_path / "memo.json"
    for file in folder.rglob("*.png"):
        os.utime(file, (LONG_AGO, LONG_AGO))
    with monkeypatch.context() as misspelt:
        misspelt.setenv(variable, "x")
        with pytest.raises(BadSettings, match=f"{variable} = 'x'"):
            use(folder, memo)
    assert not memo.exists()
    assert [info.problem for info in result_of(infos_of(sorted(folder.rglob("*.png")), memo)).values()] == [None] * 24
    assert np.asarray(thumbnail(next(folder.rglob("*.png")), 32)).std() > 0


def test_data_sets_of_one_folder_share_what_is_known(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(a=2, b=2)
    data = datasets.link_folder(tmp_path / "library", "mine", root)
    assert memo_file(data.folder) == memo_file(root) != memo_file(tmp_path)


def test_a_picture_of_several_frames_is_remembered_as_such(tmp_path: Path) -> None:
    file, memo = tmp_path / "a.gif", tmp_path / "memo.json"
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(file, save_all=True, append_images=frames[1:])
    os.utime(file, (LONG_AGO, LONG_AGO))
    assert result_of(infos_of([file], memo)) == result_of(infos_of([file], memo)) == {file: picture_info(file)}
    assert picture_info(file).animated
