"""What files hold is found out once, and again whenever it may have changed."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from core.data.picture_info import hashes_of
from core.errors import BadImage
from tests.conftest import result_of

LONG_AGO = 1_600_000_000


def write(path: Path, text: str, changed: float = LONG_AGO) -> Path:
    path.write_text(text, encoding="utf-8")
    os.utime(path, (changed, changed))
    return path


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_file_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    picture, memo = write(tmp_path / "a", "one"), tmp_path / "memo.json"
    assert result_of(hashes_of([picture], memo)) == {picture: sha256("one")}
    write(picture, "two")  # As long, and with the same time stamp: what nobody does but a test.
    assert result_of(hashes_of([picture], memo)) == {picture: sha256("one")}


@pytest.mark.parametrize(("text", "changed"), [("three", LONG_AGO), ("two", LONG_AGO + 1)], ids=["size", "time"])
def test_a_file_that_changed_is_read_again(tmp_path: Path, text: str, changed: float) -> None:
    picture, memo = write(tmp_path / "a", "one"), tmp_path / "memo.json"
    result_of(hashes_of([picture], memo))
    write(picture, text, changed)
    assert result_of(hashes_of([picture], memo)) == {picture: sha256(text)}


def test_a_file_that_changed_just_now_is_not_relied_on(tmp_path: Path) -> None:
    picture, memo = tmp_path / "a", tmp_path / "memo.json"
    picture.write_text("one", encoding="utf-8")
    result_of(hashes_of([picture], memo))
    status = picture.stat()
    picture.write_text("two", encoding="utf-8")
    os.utime(picture, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert result_of(hashes_of([picture], memo)) == {picture: sha256("two")}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a": 1}', '{"a": [1]}'])
def test_a_damaged_memo_is_written_anew(tmp_path: Path, damage: str) -> None:
    picture, memo = write(tmp_path / "a", "one"), tmp_path / "memo.json"
    memo.write_text(damage, encoding="utf-8")
    assert result_of(hashes_of([picture], memo)) == {picture: sha256("one")}
    assert list(json.loads(memo.read_text(encoding="utf-8"))) == [str(picture)]


def test_what_is_gone_is_forgotten_and_said(tmp_path: Path) -> None:
    first, second, memo = write(tmp_path / "a", "one"), write(tmp_path / "b", "two"), tmp_path / "memo.json"
    result_of(hashes_of([first, second], memo))
    result_of(hashes_of([second], memo))
    assert list(json.loads(memo.read_text(encoding="utf-8"))) == [str(second)]
    first.unlink()
    with pytest.raises(BadImage, match="put it back"):
        result_of(hashes_of([first], memo))
