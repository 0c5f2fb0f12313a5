"""Where weights come from. All of this goes without torch.

Pretrained weights are bundled with Thaw, lie in torchvision's cache folder, or are downloaded into it. Weights of one's
own are those that a run has kept, or a file.

A weights file may say how pictures are prepared for it. What a run has kept says what it was trained with; the bundled
SqueezeNet says in what scale it was trained. Other files and random weights take what the catalogue says.
"""

import errno
import hashlib
import json
import math
import os
import re
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from safetensors import SafetensorError, safe_open

from core import home
from core.backbones.catalogue import BUNDLED, FILE, Backbone, Preprocessing, get, lineage
from core.errors import WeightsUnavailable
from core.files import DownloadFailed, download
from core.messages import Message
from core.recipe import WEIGHTS
from core.settings import torch_cache

AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")
"""Where the keys of the heads begin that Inception and GoogLeNet have for their own training only."""
COUNTER = "num_batches_tracked"
"""BatchNorm counts its steps there. Files of before 2018 lack it."""
STATISTICS = ("running_mean", "running_var", COUNTER)
TORCH_FILES = (b"PK\x03\x04", b"\x80")
"""How files begin that torch.save writes: today's, and those of before 2020."""
NO_WEIGHTS = Message(
    "it holds no weights, or more than weights, such as code, which is not run; take a safetensors file, or a "
    "state_dict that torch.save has written"
)
Value = TypeVar("Value")


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


RESTS_ON = "rests_on"
"""What a kept model calls the digest of the tensors that training has left alone."""


def own_run(weights: str) -> int | None:
    """The run that weights of one's own name ("run:12"); None where they name a file."""
    named = re.fullmatch(r"run:(\d+)", weights)
    return int(named[1]) if named else None


def own_file(weights: str) -> Path | None:
    """The file of weights of one's own, which may be gone; None for "pretrained" and "random"."""
    if weights in WEIGHTS:
        return None
    run = own_run(weights)
    return home.weights_file(run) if run else Path(os.path.expanduser(weights))  # noqa: PTH111 - Path's own may raise.


def whole_path(weights: str) -> str:
    """The same weights, whichever folder a process works in; unchanged where nothing is there."""
    is_path = own_run(weights) is None and (path := own_file(weights)) and path.is_file()
    return str(path.resolve()) if is_path and path else weights


def own_unusable(weights: str, reason: Message) -> WeightsUnavailable:
    """An error about weights of one's own."""
    return WeightsUnavailable("{weights} cannot be started from: {reason}.", weights=weights, reason=reason)


def own_misfit(backbone: Backbone, weights: str) -> Message | None:
    """Why weights of one's own do not suit `backbone`; None where they do, as far as that shows without torch.

    Of a safetensors file it shows which backbone a run trained, and how many numbers each layer has.
    """
    path = own_file(weights)
    if path is None:
        return None
    if not path.is_file():
        run = own_run(weights)
        return Message("there is no run {run}, or it has kept no weights", run=run) if run else Message("no such file")
    sizes: dict[str, int] = {}
    try:
        trained = _about_file(path).get("recipe", {}).get("backbone")
        for part in own_parts(path):
            with safe_open(part, framework="numpy") as file:
                sizes |= {name: math.prod(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        return Message("{file} is missing, on which it rests", file=error.filename)
    except SafetensorError:
        with path.open("rb") as opened:
            return None if opened.read(4).startswith(TORCH_FILES) else NO_WEIGHTS
    except OSError as error:
        return Message("it cannot be read ({cause})", cause=error.strerror or str(error))
    if trained and trained != backbone.name:
        return Message("these are weights of {other}, not of {backbone}", other=trained, backbone=backbone.name)
    return _other_layers(backbone, sizes)


def preprocessing_for(backbone: Backbone, weights: str) -> Preprocessing:
    """How pictures are prepared for the network that starts from the recipe's `weights`.

    Mean and standard deviation are those that the weights file says; all else is the backbone's.
    """
    file = bundled_file(backbone) if weights == "pretrained" else own_file(weights)
    own = backbone.preprocessing
    said: dict[str, Any] = {}
    if file:
        with suppress(OSError, SafetensorError):
            said = _about_file(file).get("preprocessing", {})
    return replace(own, mean=tuple(said.get("mean", own.mean)), std=tuple(said.get("std", own.std)))


def fingerprint(weights: str) -> str | None:
    """The SHA-256 of weights of one's own, which may change while a run is paused; None for others, which do not."""
    path = own_file(weights)
    if path is None:
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def own_parts(path: Path) -> tuple[Path, ...]:
    """The files that a safetensors file of weights consists of: what a run of Thaw keeps rests on a second one.

    Raises SafetensorError where it is no such file, OSError where one cannot be read.
    """
    digest = str(_about_file(path).get(RESTS_ON) or "")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        return (path,)
    rest = frozen_file(path, digest)
    if not rest.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(rest))
    return path, rest


def frozen_file(weights_file: Path, digest: str) -> Path:
    """Where what a kept model rests on lies, beside it: tensors with that SHA-256 (`core.training.kept_model`)."""
    return weights_file.with_name(f"frozen-{digest[:32]}.safetensors")


def _about_file(path: Path) -> dict[str, Any]:
    """What Thaw says in a weights file (`core.training.kept_model`, `weights/convert.py`); others say nothing."""
    with safe_open(path, framework="numpy") as file:
        metadata: Mapping[str, str] = file.metadata() or {}
    with suppress(ValueError):
        about = json.loads(metadata.get("thaw", "{}"))
        if isinstance(about, dict):
            return about
    return {}


def _other_layers(backbone: Backbone, sizes: Mapping[str, int]) -> Message | None:
    """How the layers of a state dict, whose tensors have so many numbers, differ from the backbone's."""
    wanted = {layer.path: f"{layer.parameters:,}" for layer in backbone.layers if layer.path != backbone.head.path}
    containers = {above for path in wanted for above in lineage(path)}
    found: dict[str, int] = {}
    for name, size in body_of(backbone, sizes).items():
        owner = name if name in wanted else name.rpartition(".")[0]
        if not name.endswith(STATISTICS) and (owner in wanted or owner not in containers):
            found[owner] = found.get(owner, 0) + size
    return difference(backbone, wanted, {path: f"{size:,}" for path, size in found.items()})


def body_of(backbone: Backbone, state: Mapping[str, Value]) -> dict[str, Value]:
    """What a state dict holds besides heads, by today's names.

    Wrappers of networks put their own name before the others: those are taken away. DenseNet's published files still
    have dots in the names of modules.
    """
    heads = (f"{backbone.head.path}.", *AUXILIARY)
    plain = {re.sub(r"^(?:(?:module|model)\.)+", "", name): value for name, value in state.items()}
    return {current_name(name): value for name, value in plain.items() if not name.startswith(heads)}


def current_name(key: str) -> str:
    """Today's name of a tensor."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", key)


def difference(backbone: Backbone, wanted: Mapping[str, str], found: Mapping[str, str]) -> Message | None:
    """The first difference between the numbers of parts of a network, by name; a head of another kind is none."""
    for name, numbers in wanted.items():
        if name not in found:
            return Message("{name} is missing, which {backbone} has", name=name, backbone=backbone.name)
        if found[name] != numbers:
            template = "{name} has {found} numbers, and {wanted} in {backbone}"
            return Message(template, name=name, found=found[name], wanted=numbers, backbone=backbone.name)
    around_head = f"{next(lineage(backbone.head.path))}."
    for name in found:
        if name not in wanted and not f"{name}.".startswith(around_head):
            return Message("it has {name}, which {backbone} lacks", name=name, backbone=backbone.name)
    return None
