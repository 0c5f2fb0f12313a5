"""The frozen part runs once: what it makes of every image is kept on disk, and training begins from there.

Features lie under a key of everything they depend on: the images' contents, the pre-processing, the frozen part's code
and weights, and the number format. A change of learning rate, optimizer, penalties or epochs so finds them again.
"""

import dataclasses
import hashlib
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from torch import Tensor, fx

from core import files, home
from core.backbones.catalogue import Preprocessing
from core.backbones.fold import fold
from core.data.picture_info import hashes_of
from core.data.scan import Example
from core.data.tensors import Batch, Normalise, Variants, cut_into_batches, read_ahead
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
DECODING = 2
"""Goes up when the same file comes to other pixels than before: features of the old ones are then not used any more."""
PARTIAL = ".partial-"
"""How the names of folders begin in which features are being computed."""
ABANDONED = 24 * 3600.0
"""Seconds after which such a folder is taken for that of a process that was killed."""


LISTEN_EVERY = 0.5
"""Seconds between two events while another process computes the same features."""


@dataclass(frozen=True)
class Features:
    """`arrays` hold a row for each kept variant of each picture, a tensor of the cut each.

    `rows` says where the variants of a picture begin, and which numbers they have.
    """

    arrays: tuple[Array, ...]
    rows: dict[Path, tuple[int, range]]

    def numbers(self) -> int:
        """How many numbers are kept of each picture."""
        return sum(int(np.prod(array.shape[1:])) for array in self.arrays)

    def load(self, seen: Sequence[Seen], chosen: Sequence[Sequence[int]]) -> Iterator[Batch]:
        """The `chosen` batches, by their indices in `seen`. Raises ValueError for a variant that is not kept."""
        rows = np.array([self._row(example.path, number) for example, number in seen])
        labels = np.array([example.label for example, _ in seen])
        for batch in chosen:
            yield tuple(torch.from_numpy(array[rows[batch]]) for array in self.arrays), torch.from_numpy(labels[batch])

    def _row(self, path: Path, number: int) -> int:
        begin, numbers = self.rows[path]
        return begin + numbers.index(number)


@dataclass(frozen=True)
class FrozenPart:
    """What runs once, and in which numbers; `folded` with its BatchNorms made part of its convolutions."""

    graph: fx.GraphModule
    precision: Precision
    folded: bool

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return next(self.graph.parameters()).device

    @property
    def read_ahead(self) -> int:
        """How many batches to read while it runs. On a CPU, reading would only take cores from it."""
        return 0 if self.device.type == "cpu" else 1

    def runner(self, preprocessing: Preprocessing) -> Callable[[Tensor], list[Tensor]]:
        """It as a function: pictures, uint8 (B, 3, H, W), to float32 tensors (B, …) on the CPU."""
        network = fold(self.graph) if self.folded else self.graph
        lay_channels_last(network)
        device = self.device
        normalise = Normalise(preprocessing).to(device)

        def run(images: Tensor) -> list[Tensor]:
            with torch.inference_mode(), autocast(device, self.precision):
                outputs = network(normalise(to_device(images, device)))
            return [output.float().contiguous().cpu() for output in outputs]

        return run


def features_of(
    frozen: FrozenPart, wanted: Mapping[Path, range], variants: Variants, folder: Path, memo: Path
) -> Generator[Event, None, Features]:
    """The features of pictures, out of `folder` or computed into it, with progress.

    `wanted` has the numbers of each picture's variants. Pictures with the same bytes share their rows. `memo` remembers
    the pictures' hashes (`core.data.picture_info`).

    Of two processes that want the same, one computes and the other waits. Raises BadImage; FeaturesUnavailable when
    they would take too much; OSError when the disk is full or `folder` cannot be written.
    """
    contents = yield from hashes_of(list(wanted), memo)
    pictures = _pictures(wanted, contents)
    key = _key(frozen, pictures, variants)
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / key
    with ExitStack() as held:
        yield from _hold(FileLock(folder / f"{key}.lock"), held)
        reused = _is_whole(kept)
        if not reused:
            shutil.rmtree(kept, ignore_errors=True)
            yield from _compute(frozen, pictures, variants, kept)
        arrays, about = _mapped(kept), _about(kept)
        os.utime(kept)
    begins = accumulate((len(picture.numbers) for picture in pictures), initial=0)
    rows = {picture.content: (begin, picture.numbers) for begin, picture in zip(begins, pictures, strict=False)}
    features = Features(arrays, {path: rows[content] for path, content in contents.items()})
    yield FeaturesReady(_rows(pictures), features.numbers(), about["seconds"], reused)
    return features


@dataclass(frozen=True)
class _Picture:
    """One picture whose features are kept: the numbers of its variants, the hash of its file, and one such file."""

    numbers: range
    content: str
    path: Path


def _pictures(wanted: Mapping[Path, range], contents: Mapping[Path, str]) -> list[_Picture]:
    """One for each content, with all numbers that any of its files wants; those with the same numbers come together."""
    found: dict[str, _Picture] = {}
    for path, numbers in wanted.items():
        content = contents[path]
        known = found[content].numbers if content in found else numbers
        joined = range(min(known.start, numbers.start), max(known.stop, numbers.stop))
        found[content] = _Picture(joined, content, path)
    return sorted(found.values(), key=lambda one: (one.numbers.start, one.numbers.stop, one.content))


def _rows(pictures: Sequence[_Picture]) -> int:
    return sum(len(picture.numbers) for picture in pictures)


def _in_batches(pictures: Sequence[_Picture]) -> list[list[int]]:
    """Indices of `pictures`, so many at once that they have BATCH variants, each batch with as many of each picture.

    Few shapes come about so: a network takes longer over a batch whose shape is new.
    """
    chosen: list[list[int]] = []
    for numbers, group in groupby(range(len(pictures)), key=lambda index: pictures[index].numbers):
        chosen += cut_into_batches(list(group), max(1, BATCH // len(numbers)))
    return chosen


def _hold(lock: FileLock, held: ExitStack) -> Iterator[Progress]:
    """Take `lock` for as long as `held` is open; while another process has it, the caller can still be stopped."""
    while True:
        try:
            held.enter_context(lock.acquire(timeout=LISTEN_EVERY))
            return
        except Timeout:
            yield Progress(Message("Waiting for another run, which computes the same features"), 0, 1)


def _compute(
    frozen: FrozenPart, pictures: Sequence[_Picture], variants: Variants, target: Path
) -> Generator[Event, None, None]:
    """Run the frozen part over `pictures` and move the result to `target`, whole, at the end."""
    begin = time.monotonic()
    rows = _rows(pictures)
    run = frozen.runner(variants.preprocessing)

    def read(index: int) -> Tensor:
        picture = pictures[index]
        return variants.of(picture.path, picture.content, picture.numbers)

    with tempfile.TemporaryDirectory(dir=target.parent, prefix=PARTIAL) as scratch, ExitStack() as open_files:
        partial = Path(scratch) / "features"
        partial.mkdir()
        written: list[_Written] = []
        done = 0
        for images in read_ahead(read, _in_batches(pictures), frozen.read_ahead):
            outputs = run(images.flatten(0, 1))
            if not written:
                _demand_room(target.parent, rows * sum(output[0].nbytes for output in outputs))
                paths = [partial / f"{number}.npy" for number in range(len(outputs))]
                written = [_Written(open_files.enter_context(path.open("wb"))) for path in paths]
                for file, output in zip(written, outputs, strict=True):
                    file.write(_header((rows, *output.shape[1:])))
            for file, output in zip(written, outputs, strict=True):
                file.write(output.numpy().data)
            done += len(outputs[0])
            yield Progress(Message("Running the frozen part once over every picture"), done, rows)
        open_files.close()
        digests = {path.name: file.digest.hexdigest() for path, file in zip(paths, written, strict=True)}
        about = {"files": digests, "seconds": time.monotonic() - begin}
        (partial / "about.json").write_text(json.dumps(about), encoding="utf-8")
        files.move_into_place(partial, target)


@dataclass(frozen=True)
class _Written:
    """A file and the digest of what was written to it, so that it need not be read again."""

    file: BinaryIO
    digest: Any = field(default_factory=hashlib.sha256)

    def write(self, content: bytes | memoryview) -> None:
        self.file.write(content)
        self.digest.update(content)


def _header(shape: tuple[int, ...]) -> bytes:
    """The rows follow as plain writes: a full disk is then an OSError, where a mapped file would end the process."""
    header = io.BytesIO()
    np.lib.format.write_array_header_2_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return header.getvalue()


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
    known = (path for path in folder.iterdir() if path.is_dir() and path.name != home.FROZEN)
    folders = sorted(known, key=lambda path: path.stat().st_mtime)
    for path in folders:
        if path.name.startswith(PARTIAL) and time.time() - path.stat().st_mtime > ABANDONED:
            shutil.rmtree(path, ignore_errors=True)
    kept = [path for path in folders if not path.name.startswith(PARTIAL)]
    sizes = [sum(file.stat().st_size for file in path.iterdir()) for path in kept]
    while kept and sum(sizes) > limit:
        shutil.rmtree(kept.pop(0), ignore_errors=True)
        sizes.pop(0)


def _is_whole(folder: Path) -> bool:
    """Whether there are features in `folder`, and none of them damaged."""
    try:
        return all(_sha256(folder / name) == digest for name, digest in _about(folder)["files"].items())
    except (OSError, ValueError, KeyError):
        return False


def _mapped(folder: Path) -> tuple[Array, ...]:
    """The arrays in `folder`, mapped and not read into memory."""
    mapped = (np.load(folder / f"{number}.npy", mmap_mode="r") for number in range(len(_about(folder)["files"])))
    return tuple(np.asarray(array) for array in mapped)  # Plain arrays, over the same mapping, are read faster.


def _about(folder: Path) -> dict[str, Any]:
    about: dict[str, Any] = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    return about


def _key(frozen: FrozenPart, pictures: Sequence[_Picture], variants: Variants) -> str:
    digest = hashlib.sha256()
    rows = [(picture.content, picture.numbers.start, picture.numbers.stop) for picture in pictures]
    for part in (
        DECODING,
        rows,
        dataclasses.asdict(variants),
        frozen.graph.code,
        frozen.precision,
        frozen.folded,
        "float32",
    ):
        digest.update(json.dumps(part).encode())
    for name, tensor in sorted(frozen.graph.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
