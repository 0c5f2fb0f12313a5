"""Fetch pretrained weights into torchvision's cache, saying how far it has come."""

import hashlib
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

from core.backbones import catalogue
from core.backbones.catalogue import Backbone
from core.errors import WeightsUnavailable

CHUNK = 2**20
TIMEOUT = 20.0
"""Seconds without an answer after which the network counts as gone."""


def fetch(backbone: Backbone) -> Iterator[tuple[int, int]]:
    """Bytes done and bytes in all, again and again, until the weights are in the cache; nothing when they are there.

    Raises WeightsUnavailable when they cannot be had; what had come by then is deleted.
    """
    if catalogue.weights_state(backbone) != "download" or backbone.weights is None:
        return
    folder = catalogue.cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as scratch:
            partial = Path(scratch) / backbone.weights.file
            yield from _stream(backbone.weights.url, partial)
            _check(backbone, partial)
            partial.replace(folder / backbone.weights.file)
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise unavailable(backbone, f"they could not be downloaded ({reason})") from error


def _stream(url: str, path: Path) -> Iterator[tuple[int, int]]:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response, path.open("wb") as file:
        total = int(response.headers.get("Content-Length") or 0)
        done = 0
        while chunk := response.read(CHUNK):
            done += file.write(chunk)
            yield done, max(total, done)


def _check(backbone: Backbone, path: Path) -> None:
    """torchvision's file names end in the first digits of the file's SHA-256: "resnet18-f37072fd.pth"."""
    wanted = path.stem.rpartition("-")[2]
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(wanted):
        raise unavailable(backbone, "what was downloaded is not what its checksum promises")


def unavailable(backbone: Backbone, reason: str) -> WeightsUnavailable:
    """The error that names the file, the folder it may be copied into by hand, and what comes with Thaw."""
    if backbone.weights is None:
        return WeightsUnavailable(f'There are no pretrained weights for {backbone.name}; take weights = "random".')
    return WeightsUnavailable(
        f"The weights of {backbone.title} are missing: {reason}. Copy {backbone.weights.file} into "
        f"{catalogue.cache_folder()} by hand ({backbone.weights.url}), or choose one of the bundled backbones: "
        f"{', '.join(catalogue.BUNDLED)}."
    )
