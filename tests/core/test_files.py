"""A file is there whole or not at all, whatever goes wrong and whoever else writes it; a downloaded one, too."""

import errno
import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from core import files
from core.files import DownloadFailed, download
from tests.conftest import serving

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


CONTENT = bytes(range(256)) * 40
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """What each path answers: /whole, /unsized (no length), /cut (half of what was announced), else 404."""

    def do_GET(self) -> None:
        if self.path not in ("/whole", "/unsized", "/cut"):
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/unsized":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/cut" else CONTENT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("core.files.CHUNK", 1000)
    with serving(Server) as address:
        yield address


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "file.bin"


@pytest.mark.parametrize("checksum", [SHA256, SHA256[:20], MD5, None])
def test_a_file_arrives_whole(address: str, path: Path, checksum: str | None) -> None:
    steps = list(download(f"{address}/whole", path, checksum))
    assert path.read_bytes() == CONTENT
    assert [done for done, _total in steps] == [*range(1000, len(CONTENT), 1000), len(CONTENT)]
    assert {total for _done, total in steps} == {len(CONTENT)}
    assert list(path.parent.iterdir()) == [path]


def test_where_the_server_says_no_size_the_caller_does(address: str, path: Path) -> None:
    assert {total for _done, total in download(f"{address}/unsized", path, MD5, 99_999)} == {99_999}
    assert next(download(f"{address}/unsized", path, MD5)) == (1000, 1000)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("url", "checksum", "reason"),
    [
        ("/absent", MD5, "HTTP Error 404"),
        ("/cut", MD5, "the connection ended too early"),
        ("/cut", None, "the connection ended too early"),
        ("/whole", "md5:" + "0" * 32, "its checksum differs"),
        ("/whole", "sha256:0", "its checksum differs"),
    ],
)
def test_what_does_not_arrive_leaves_nothing(
    address: str, path: Path, url: str, checksum: str | None, reason: str
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"old")
    with pytest.raises(DownloadFailed, match=reason) as failed:
        list(download(address + url, path, checksum))
    assert str(failed.value.reason) == str(failed.value)
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_one_that_is_given_up_leaves_nothing(address: str, path: Path) -> None:
    job = download(f"{address}/whole", path, MD5)
    next(job)
    assert len(list(path.parent.iterdir())) == 1
    job.close()
    assert list(path.parent.iterdir()) == []


def nobody_listens(_held: socket.socket) -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


def nobody_answers(held: socket.socket) -> str:
    return f"http://127.0.0.1:{held.getsockname()[1]}/"


@pytest.mark.parametrize(
    ("make", "reason"),
    [(nobody_listens, "Connection refused"), (nobody_answers, "timed out"), (lambda _: "no address", "unknown url")],
)
def test_a_server_that_is_not_there(
    make: Callable[[socket.socket], str], reason: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("core.files.TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as held, pytest.raises(DownloadFailed, match=reason):
        list(download(make(held), path, MD5))
    assert list(path.parent.iterdir()) == []


def test_a_full_disk_is_no_missing_network(address: str, path: Path) -> None:
    """Writing more than is allowed fails in the same way."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            list(download(f"{address}/whole", path, MD5))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(path.parent.iterdir()) == []
