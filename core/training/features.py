"""The frozen part runs once: what it makes of every image is kept on disk, and training begins from there.

Features lie under a key of everything they depend on: the images' contents, the pre-processing, the frozen part's code
and weights, and the number format. A change of learning rate, optimizer, penalties or epochs so finds them again.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from torch import Tensor, fx

from core import files
from core.backbones.catalogue import Preprocessing
from core.backbones.cut import fold
from core.data.batches import Batch, cut_into_batches, read_ahead
from core.data.picture_info import hashes_of
from core.data.scan import Example
from core.data.transforms import Normalise, Variants
from core.errors import FeaturesUnavailable
from core.events import Event, FeaturesReady, Progress
from core.messages import Message
from core.settings import settings
from core.training.device import Precision, autocast, lay_channels_last, to_device

Array = NDArray[np.float32]
Seen = tuple[Example, int]
"""A picture, and the number of the variant of it that is seen: 0 for the plain one."""
BATCH = 32
"""Images per pass through the frozen part."""
PARTIAL = ".partial-"
"""How the names of folders begin in which features are being computed."""
ABANDONED = 24 * 3600.0
"""Seconds after which such a folder is taken for that of a process that was killed."""


LISTEN_EVERY = 0.5
"""Seconds between two events while another process computes the same features."""


@dataclass(frozen=True)
class Features:
    """`arrays` hold a row for each variant of each picture, a tensor of the cut each.

    `rows` says where the variants of a picture begin: first the plain one, then the others.
    """

    arrays: tuple[Array, ...]
    rows: dict[Path, int]

    def numbers(self) -> int:
        """How many numbers are kept of each picture."""
        return sum(int(np.prod(array.shape[1:])) for array in self.arrays)

    def load(self, seen: Sequence[Seen], chosen: Sequence[Sequence[int]]) -> Iterator[Batch]:
        """The `chosen` batches, by their indices in `seen`."""
        rows = np.array([self.rows[example.path] + number for example, number in seen])
        labels = np.array([example.label for example, _ in seen])
        for batch in chosen:
            yield tuple(torch.from_numpy(array[rows[batch]]) for array in self.arrays), torch.from_numpy(labels[batch])


@dataclass(frozen=True)
class FrozenPart:
    """What runs once, and in which numbers; `folded` with its BatchNorms made part of its convolutions."""

    graph: fx.GraphModule
    precision: Precision
    folded: bool

    def runner(self, preprocessing: Preprocessing) -> Callable[[Tensor], list[Tensor]]:
        """It as a function: pictures, uint8 (B, 3, H, W), to float32 tensors (B, …) on the CPU."""
        network = fold(self.graph) if self.folded else self.graph
        lay_channels_last(network)
        device = next(network.parameters()).device
        normalise = Normalise(preprocessing).to(device)

        def run(images: Tensor) -> list[Tensor]:
            with torch.inference_mode(), autocast(device, self.precision):
                outputs = network(normalise(to_device(images, device)))
            return [output.float().contiguous().cpu() for output in outputs]

        return run


def features_of(
    frozen: FrozenPart, paths: Sequence[Path], variants: Variants, folder: Path, memo: Path
) -> Generator[Event, None, Features]:
    """The features of all pictures at `paths`, out of `folder` or computed into it, with progress.

    `memo` remembers the pictures' hashes (`core.data.picture_info`).

    Of two processes that want the same, one computes and the other waits. Raises BadImage; FeaturesUnavailable when
    they would take too much; OSError when the disk is full or `folder` cannot be written.
    """
    contents = yield from hashes_of(paths, memo)
    unique = {content: path for path, content in sorted(contents.items(), key=lambda pair: pair[1])}
    key = _key(frozen, list(unique), variants)
    row_of = {content: row * (1 + variants.count) for row, content in enumerate(unique)}
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / key
    with ExitStack() as held:
        yield from _hold(FileLock(folder / f"{key}.lock"), held)
        arrays = _read(kept)
        reused = arrays is not None
        if arrays is None:
            shutil.rmtree(kept, ignore_errors=True)
            yield from _compute(frozen, unique, variants, kept)
            arrays = _read(kept)
        os.utime(kept)
    if arrays is None:
        raise FeaturesUnavailable("the features in {folder} could not be read back", folder=kept)
    features = Features(arrays, {path: row_of[content] for path, content in contents.items()})
    yield FeaturesReady(len(unique) * (1 + variants.count), features.numbers(), _about(kept)["seconds"], reused)
    return features


def _hold(lock: FileLock, held: ExitStack) -> Iterator[Progress]:
    """Take `lock` for as long as `held` is open; while another process has it, the caller can still be stopped."""
    while True:
        try:
            held.enter_context(lock.acquire(timeout=LISTEN_EVERY))
            return
        except Timeout:
            yield Progress(Message("Waiting for another run, which computes the same features"), 0, 1)


def _compute(
    frozen: FrozenPart, pictures: Mapping[str, Path], variants: Variants, target: Path
) -> Generator[Event, None, None]:
    """Run the frozen part over `pictures` (by their hash) and move the result to `target`, whole, at the end."""
    begin = time.monotonic()
    sources = list(pictures.items())
    chosen = cut_into_batches(range(len(sources)), max(1, BATCH // (1 + variants.count)))
    rows = len(sources) * (1 + variants.count)
    run = frozen.runner(variants.preprocessing)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=PARTIAL) as scratch, ExitStack() as open_files:
        partial = Path(scratch) / "features"
        partial.mkdir()
        written: list[BinaryIO] = []
        done = 0
        for images in read_ahead(lambda index: variants.of(sources[index][1], sources[index][0]), chosen):
            outputs = run(images.flatten(0, 1))
            if not written:
                _demand_room(target.parent, rows * sum(output[0].nbytes for output in outputs))
                paths = [partial / f"{number}.npy" for number in range(len(outputs))]
                written = [open_files.enter_context(path.open("wb")) for path in paths]
                for file, output in zip(written, outputs, strict=True):
                    _write_header(file, (rows, *output.shape[1:]))
            for file, output in zip(written, outputs, strict=True):
                file.write(output.numpy().data)
            done += len(outputs[0])
            yield Progress(Message("Running the frozen part once over every picture"), done, rows)
        open_files.close()
        digests = {path.name: _sha256(path) for path in sorted(partial.iterdir())}
        about = {"files": digests, "seconds": time.monotonic() - begin}
        (partial / "about.json").write_text(json.dumps(about), encoding="utf-8")
        files.move_into_place(partial, target)


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """The rows follow as plain writes: a full disk is then an OSError, where a mapped file would end the process."""
    np.lib.format.write_array_header_2_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})


def _demand_room(folder: Path, size: int) -> None:
    """Make room for `size` bytes of new features. Raises FeaturesUnavailable where they would take too much."""
    if size > settings().feature_bytes:
        template = "the features would take {size:.1f} GB, and {most:.1f} GB are allowed"
        raise FeaturesUnavailable(template, size=size / 1e9, most=settings().feature_bytes / 1e9)
    make_room(folder, settings().feature_bytes - size)


def make_room(folder: Path, limit: int) -> None:
    """Delete the features that have not been used for longest, until all of them take at most `limit` bytes.

    What a process left unfinished goes first, once it is so old that the process must be gone.
    """
    folders = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for path in folders:
        if path.name.startswith(PARTIAL) and time.time() - path.stat().st_mtime > ABANDONED:
            shutil.rmtree(path, ignore_errors=True)
    kept = [path for path in folders if not path.name.startswith(PARTIAL)]
    sizes = [sum(file.stat().st_size for file in path.iterdir()) for path in kept]
    while kept and sum(sizes) > limit:
        shutil.rmtree(kept.pop(0), ignore_errors=True)
        sizes.pop(0)


def _read(folder: Path) -> tuple[Array, ...] | None:
    """The arrays in `folder`, mapped and not read into memory; None where there are none, or damaged ones."""
    try:
        digests = _about(folder)["files"]
        if any(_sha256(folder / name) != digest for name, digest in digests.items()):
            return None
        mapped = (np.load(folder / f"{number}.npy", mmap_mode="r") for number in range(len(digests)))
        return tuple(np.asarray(array) for array in mapped)  # Plain arrays, over the same mapping, are read faster.
    except (OSError, ValueError, KeyError):
        return None


def _about(folder: Path) -> dict[str, Any]:
    about: dict[str, Any] = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    return about


def _key(frozen: FrozenPart, contents: Sequence[str], variants: Variants) -> str:
    digest = hashlib.sha256()
    preprocessing = dataclasses.asdict(variants.preprocessing)
    seen = {"preprocessing": preprocessing, "augment": variants.augment, "views": variants.count}
    for part in (contents, seen, frozen.graph.code, frozen.precision, frozen.folded, "float32"):
        digest.update(json.dumps(part).encode())
    for name, tensor in sorted(frozen.graph.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
