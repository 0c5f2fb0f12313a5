"""A download is there whole or not at all, says how far it is, and says why it failed."""

import hashlib
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from core.download import DownloadFailed, download

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
    monkeypatch.setattr("core.download.CHUNK", 1000)
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as http:
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


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
    monkeypatch.setattr("core.download.TIMEOUT", 0.1)
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
