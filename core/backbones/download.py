"""Fetch pretrained weights into torchvision's cache folder, telling how far it has come."""

import hashlib
import urllib.request
import uuid
from collections.abc import Generator
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError

from core.backbones.catalogue import BUNDLED, Backbone, PretrainedWeights, cache_folder, get, weights_state
from core.errors import WeightsUnavailable

CHUNK = 2**20
TIMEOUT = 20.0
"""Seconds of silence after which a connection counts as broken."""


def fetch(backbone: Backbone) -> Generator[tuple[int, int], None, None]:
    """Download the weights unless they are there; yields (bytes done, bytes in all) on the way.

    The file appears in the cache folder whole or not at all. Raises WeightsUnavailable when it cannot be had.
    """
    if backbone.weights is None or weights_state(backbone) != "download":
        return
    folder = cache_folder()
    partial = folder / f"{backbone.weights.file}.{uuid.uuid4().hex}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield from _stream(backbone.weights, partial)
            partial.replace(folder / backbone.weights.file)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, HTTPException, ValueError) as error:
        reason = f"it could not be downloaded from {backbone.weights.url} ({_cause(error)})"
        raise unavailable(backbone, reason) from error


def _stream(weights: PretrainedWeights, path: Path) -> Generator[tuple[int, int], None, None]:
    """Write what the server sends to `path`. Raises ValueError when that is not the file that was asked for."""
    digest = hashlib.sha256()
    done = 0
    with urllib.request.urlopen(weights.url, timeout=TIMEOUT) as response, path.open("xb") as file:
        total = int(response.headers["Content-Length"] or weights.size)
        while chunk := response.read(CHUNK):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            yield done, max(done, total)
    # File names end in the beginning of their SHA-256: "resnet50-11ad3fa6.pth".
    if not digest.hexdigest().startswith(Path(weights.file).stem.rpartition("-")[2]):
        raise ValueError("what arrived is not the file that was asked for: its checksum differs")


def _cause(error: Exception) -> str:
    if isinstance(error, HTTPError):
        error.close()  # It is an answer too, and would keep the connection open.
    elif isinstance(error, URLError):
        return str(error.reason)
    return str(error)


def unavailable(backbone: Backbone, reason: str) -> WeightsUnavailable:
    """The sentence that names the file, the folder it may be copied into by hand, and the bundled backbones."""
    bundled = " or ".join(f"{get(name).title} ({name})" for name in BUNDLED)
    ways_out = f"start from random weights, or choose a backbone whose weights come with Thaw: {bundled}."
    if backbone.weights is None:
        return WeightsUnavailable(f"There are no pretrained weights for {backbone.title}: {reason}. You can {ways_out}")
    return WeightsUnavailable(
        f"{backbone.title} needs the weights file {backbone.weights.file}: {reason}. "
        f"Copy that file into {cache_folder()} by hand, or {ways_out}"
    )
