"""Downloads from a server on this machine, and what is said when there is none."""

import dataclasses
import hashlib
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
import torch

from core import settings
from core.backbones import catalogue, pretrained
from core.backbones.catalogue import Backbone
from core.backbones.pretrained import fetch_weights
from core.errors import WeightsUnavailable
from core.files import CHUNK
from tests.conftest import serving

CONTENT = b"0123456789" * (CHUNK // 4)
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()[:8]


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without writing a line for each request; cuts off what is named so."""

    def log_message(self, *_: object) -> None:
        pass

    def copyfile(self, source, outputfile) -> None:  # type: ignore[no-untyped-def]
        with suppress(ConnectionError):
            outputfile.write(source.read(CHUNK if "cut-off" in self.path else -1))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a folder with two files of one content, and of an empty cache folder beside it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "served"
    folder.mkdir()
    for name in (f"net-{CHECKSUM}.pth", "net-00000000.pth", f"cut-off-{CHECKSUM}.pth"):
        (folder / name).write_bytes(CONTENT)
    with serving(partial(Quiet, directory=folder)) as address:
        yield address


def published_at(address: str, file: str) -> Backbone:
    backbone = catalogue.get("resnet18")
    assert backbone.weights is not None
    weights = dataclasses.replace(backbone.weights, url=f"{address}/{file}", file=file)
    return dataclasses.replace(backbone, weights=weights)


def in_cache() -> list[str]:
    folder = settings.torch_cache()
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_download(server: str) -> None:
    backbone = published_at(server, f"net-{CHECKSUM}.pth")
    progress = list(fetch_weights(backbone))
    done = [done for done, _ in progress]
    assert done == sorted(set(done))
    assert progress[-1] == (len(CONTENT), len(CONTENT))
    assert {total for _, total in progress} == {len(CONTENT)}
    assert (settings.torch_cache() / f"net-{CHECKSUM}.pth").read_bytes() == CONTENT
    assert in_cache() == [f"net-{CHECKSUM}.pth"]
    assert pretrained.weights_state(backbone) == "cached"
    assert list(fetch_weights(backbone)) == []


def refused() -> str:
    """The address of a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("file", ["net-00000000.pth", f"cut-off-{CHECKSUM}.pth", "net-12345678.pth"])
def test_another_content_half_a_content_and_none(server: str, file: str) -> None:
    assert_unavailable(published_at(server, file), file)


@pytest.mark.usefixtures("server")
def test_no_network() -> None:
    assert_unavailable(published_at(refused(), f"net-{CHECKSUM}.pth"), f"net-{CHECKSUM}.pth")


def test_a_cache_folder_that_cannot_be_made(server: str, tmp_path: Path) -> None:
    (tmp_path / "torch").write_text("a file where a folder should be")
    with pytest.raises(WeightsUnavailable):
        list(fetch_weights(published_at(server, f"net-{CHECKSUM}.pth")))


def assert_unavailable(backbone: Backbone, file: str) -> None:
    with pytest.raises(WeightsUnavailable) as caught:
        list(fetch_weights(backbone))
    for part in (file, str(settings.torch_cache()), "ResNet-18", *catalogue.BUNDLED):
        assert part in str(caught.value)
    assert in_cache() == []


def test_a_download_that_is_given_up_leaves_nothing(server: str) -> None:
    download = fetch_weights(published_at(server, f"net-{CHECKSUM}.pth"))
    next(download)
    assert len(in_cache()) == 1
    download.close()
    assert in_cache() == []


@pytest.mark.parametrize("name", catalogue.BUNDLED)
def test_bundled_weights_are_not_downloaded(name: str) -> None:
    assert list(fetch_weights(catalogue.get(name))) == []


def test_no_weights_at_all() -> None:
    backbone = dataclasses.replace(catalogue.get("resnet18"), weights=None)
    assert pretrained.weights_state(backbone) == "none"
    assert list(fetch_weights(backbone)) == []


@pytest.mark.parametrize(
    "environment",
    [{}, {"TORCH_HOME": "~/elsewhere"}, {"XDG_CACHE_HOME": "caches"}, {"TORCH_HOME": "", "HOME": "/home/x"}],
)
def test_the_cache_folder_is_pytorchs(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert settings.torch_cache() == Path(torch.hub.get_dir()) / "checkpoints"
