"""A file is there whole or not at all, whatever goes wrong and whoever else writes it."""

import errno
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from core import files

Break = Callable[..., Any]
NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that has nothing but one old file in it."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "record.json").write_text('"old"', encoding="utf-8")
    return place


def on_call(number: int, real: Callable[..., Any]) -> Break:
    """`real`, which finds the disk full when it is called for that time, counted from 1."""
    calls = 0

    def act(*given: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise NO_SPACE
        return real(*given, **options)

    return act


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_a_file_takes_the_place_of_the_old_one(folder: Path) -> None:
    files.write_json(folder / "record.json", {"a": [1, "ä"]})
    assert files.read_json(folder / "record.json") == {"a": [1, "ä"]}
    files.write_bytes(folder / "deep" / "er" / "x", b"\0\r\n")
    assert (folder / "deep" / "er" / "x").read_bytes() == b"\0\r\n"
    files.write_text(folder / "text", "one\ntwo\r\n")
    assert (folder / "text").read_bytes() == b"one\ntwo\r\n"
    assert {path.name for path in folder.rglob("*")} == {"record.json", "deep", "er", "x", "text"}


@pytest.mark.parametrize(
    ("module", "function", "call", "after"),
    [
        (Path, "write_bytes", 1, "old"),
        (os, "fsync", 1, "old"),  # Of the half file.
        (os, "fsync", 2, "new"),  # Of the folder, once the file is in its place.
        (Path, "replace", 1, "old"),
    ],
)
def test_whatever_fails_no_half_file_stays(
    module: Any, function: str, call: int, after: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.name != "posix" and call == 2:
        pytest.skip("Windows offers no way to flush a folder")
    monkeypatch.setattr(module, function, on_call(call, getattr(module, function)))
    with pytest.raises(OSError, match="No space left"):
        files.write_json(folder / "record.json", "new")
    assert content(folder) == {"record.json": f'"{after}"'}
    files.write_json(folder / "record.json", "newer")
    assert content(folder) == {"record.json": '"newer"'}


@pytest.mark.parametrize("error", [NO_SPACE, ValueError("no number"), KeyboardInterrupt()])
def test_a_writer_that_fails_in_mid_file_leaves_the_old_one(folder: Path, error: BaseException) -> None:
    def write(partial: Path) -> None:
        partial.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)):
        files.write_aside(folder / "record.json", write)
    assert content(folder) == {"record.json": '"old"'}


def test_a_disk_that_is_really_full(folder: Path) -> None:
    """Writing more than is allowed fails in the same way."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            files.write_text(folder / "record.json", "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert content(folder) == {"record.json": '"old"'}


def test_every_writer_has_a_half_file_of_its_own(folder: Path) -> None:
    partials = {files.partial_name(folder / "record.json") for _ in range(1000)}
    assert len(partials) == 1000
    assert {path.parent for path in partials} == {folder}


def test_of_many_writers_each_is_whole(folder: Path) -> None:
    path = folder / "record.json"
    texts = [json.dumps([number] * 20_000) for number in range(8)]

    def write_and_read(number: int) -> str:
        files.write_text(path, texts[number % 8])
        return path.read_text(encoding="utf-8")

    with ThreadPoolExecutor(8) as threads:
        seen = set(threads.map(write_and_read, range(64)))
    assert seen <= set(texts)
    assert [path.name for path in folder.iterdir()] == ["record.json"]


def test_a_folder_is_removed_at_once(folder: Path, tmp_path: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "x").touch()
    assert files.remove_folder(folder)
    assert list(tmp_path.iterdir()) == []
    assert files.remove_folder(folder)  # It is gone, whoever did it.


def test_a_folder_that_cannot_be_renamed_stays_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "open elsewhere")

    monkeypatch.setattr(Path, "replace", refuse)
    assert not files.remove_folder(folder)
    assert content(folder) == {"record.json": '"old"'}


def test_an_open_file_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where somebody who reads a file keeps it from being replaced."""
    monkeypatch.setattr(files, "PATIENCE", 60.0)
    replace, refusals = Path.replace, iter(range(3))

    def refuse_thrice(self: Path, target: Path) -> Path:
        if next(refusals, None) is not None:
            raise PermissionError(errno.EACCES, "open elsewhere")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse_thrice)
    files.write_json(folder / "record.json", "new")
    assert content(folder) == {"record.json": '"new"'}


def test_old_half_files_are_swept_out(folder: Path) -> None:
    hour_ago = time.time() - 3600
    old, fresh = files.partial_name(folder / "old"), files.partial_name(folder / "fresh")
    half_folder = files.partial_name(folder / "half")
    half_folder.mkdir()
    (half_folder / "x").touch()
    for path in (old, fresh):
        path.touch()
    for path in (old, half_folder, folder / "record.json"):
        os.utime(path, (hour_ago, hour_ago))
    files.sweep(folder, older_than=60)
    assert {path.name for path in folder.iterdir()} == {"record.json", fresh.name}
