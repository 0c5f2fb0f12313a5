"""Where pretrained weights come from: bundled with Thaw, in torchvision's cache folder, or downloaded into it."""

from collections.abc import Generator
from pathlib import Path
from typing import Literal

from core.backbones.catalogue import BUNDLED, FILE, Backbone, get
from core.download import DownloadFailed, download
from core.errors import WeightsUnavailable
from core.messages import Message
from core.settings import torch_cache


def bundled_file(backbone: Backbone) -> Path | None:
    """The file of the weights that come with Thaw; None where none come with it."""
    path = FILE.parent / "weights" / f"{backbone.name}.safetensors"
    return path if backbone.name in BUNDLED and path.is_file() else None


def weights_state(backbone: Backbone) -> Literal["bundled", "cached", "download", "none"]:
    """Where pretrained weights would come from now."""
    if bundled_file(backbone):
        return "bundled"
    if backbone.weights is None:
        return "none"
    return "cached" if (torch_cache() / backbone.weights.file).is_file() else "download"


def fetch_weights(backbone: Backbone) -> Generator[tuple[int, int], None, None]:
    """Download the weights unless they are there; yields (bytes done, bytes in all) on the way.

    The cache folder gets the whole file or none. Raises WeightsUnavailable when the download fails.
    """
    weights = backbone.weights
    if weights is None or weights_state(backbone) != "download":
        return
    # File names end in the beginning of their SHA-256: "resnet50-11ad3fa6.pth".
    checksum = "sha256:" + Path(weights.file).stem.rpartition("-")[2]
    try:
        yield from download(weights.url, torch_cache() / weights.file, checksum, weights.size)
    except (OSError, DownloadFailed) as error:
        reason = Message("it could not be downloaded from {url} ({cause})", url=weights.url, cause=str(error))
        raise weights_unavailable(backbone, reason) from error


def weights_unavailable(backbone: Backbone, reason: Message) -> WeightsUnavailable:
    """An error that names the file, the folder to copy it into by hand, and the bundled backbones."""
    ways_out = Message(
        "start from random weights, or choose a backbone whose weights come with Thaw: {bundled}.",
        bundled=[f"{get(name).title} ({name})" for name in BUNDLED],
    )
    if backbone.weights is None:
        template = "There are no pretrained weights for {title}: {reason}. You can {ways_out}"
        return WeightsUnavailable(template, title=backbone.title, reason=reason, ways_out=ways_out)
    return WeightsUnavailable(
        "{title} needs the weights file {file}: {reason}. Copy that file into {folder} by hand, or {ways_out}",
        title=backbone.title,
        file=backbone.weights.file,
        reason=reason,
        folder=torch_cache(),
        ways_out=ways_out,
    )
