"""Where the time before the first point goes, part by part: `python -m tests.benchmarks.speed --parts`.

Everything runs in this process, in turns, and the least of several times counts: another program can only make a time
longer. What is measured are Thaw's own functions, over pictures as `pictures.make_photos` makes them.
"""

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from core.backbones import catalogue
from core.backbones.build import build, freeze, train_mode
from core.backbones.cut import cut
from core.data.scan import read_image_folder
from core.data.tensors import Variants, framing, plain_square, read_pixels
from core.events import EpochEnded, StepEnded
from core.presets import expand
from core.recipe import Recipe
from core.recipe_settings import parse
from core.training.device import choose_precision, find_device, keep_freed_memory
from core.training.features import BATCH, FrozenPart, features_of
from core.training.loop import let_learn, take_step, train, training_batches
from core.training.setup import prepare
from core.training.state import Snapshot
from tests.benchmarks import pictures
from tests.conftest import result_of

COUNT, TURNS = 192, 5
"""Pictures of the frozen pass, and how often everything is timed."""
LARGE = (4000, 3000)
"""Width and height in pixels of a photo of 12 megapixels."""
WITHIN = 1.1
"""How many times the sum of its parts the frozen pass may take."""


@dataclass(frozen=True)
class Row:
    """One line of the table: `value` in milliseconds, beside what it is compared with."""

    title: str
    value: float
    beside: float | None = None


def report() -> str:
    """Measure all parts; the table in Markdown, and whether the frozen pass is near the sum of its parts."""
    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="thaw-benchmark-") as scratch:
        photos = Path(scratch) / "photos"
        pictures.make_photos(photos)
        passes = frozen_pass(photos, Path(scratch))
        rows = [*passes, *large_jpeg(Path(scratch)), *whole_step(photos), *first_point(photos, Path(scratch))]
    lines = ["| milliseconds | | ratio |", "| --- | ---: | ---: |"]
    for row in rows:
        ratio = f"{row.value / row.beside:.2f}" if row.beside else ""
        lines.append(f"| {row.title} | {row.value:,.2f} | {ratio} |")
    whole = passes[-1]
    assert whole.beside
    met = "met" if whole.value <= WITHIN * whole.beside else "not met"
    return "\n".join([*lines, "", f"The frozen pass within {WITHIN} of the sum of its parts: **{met}**."])


def frozen_pass(photos: Path, scratch: Path) -> list[Row]:
    """Milliseconds a picture: the network alone, reading alone, their sum, and the pass that does both."""
    backbone = catalogue.get("mobilenet_v2")
    layers, device = catalogue.select(backbone, ("head",)), find_device("auto")[0]
    folder = read_image_folder(photos)
    paths = [example.path for example in (*folder.train, *(folder.val or ()))][:COUNT]
    model = build(backbone, len(folder.classes), "pretrained").to(device)
    freeze(model, layers)
    train_mode(model, backbone, layers)
    halves = cut(model, backbone.min_size)
    assert halves is not None
    frozen = FrozenPart(halves.prefix, choose_precision("auto", device), folded=True)
    run, variants = frozen.runner(backbone.preprocessing), Variants(backbone.preprocessing, "none")
    batch = torch.stack([plain_square(backbone.preprocessing, path) for path in paths[:BATCH]])

    def network() -> None:
        for _ in range(COUNT // BATCH):
            run(batch)

    def read() -> None:
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            list(threads.map(lambda path: plain_square(backbone.preprocessing, path), paths))

    def whole() -> None:
        with tempfile.TemporaryDirectory(dir=scratch) as empty:
            kept = Path(empty) / "features"
            result_of(features_of(frozen, dict.fromkeys(paths, range(1)), variants, kept, Path(empty) / "memo.json"))

    net, reading, all_of_it = (seconds * 1000 / COUNT for seconds in least(network, read, whole))
    return [
        Row("the network alone, a picture", net),
        Row("decoding and resizing alone, a picture", reading),
        Row("the frozen pass with hashing and writing, a picture; beside the sum", all_of_it, net + reading),
    ]


def large_jpeg(scratch: Path) -> list[Row]:
    """Milliseconds for the square of a photo of 12 megapixels: from all its pixels, and from as many as are needed."""
    preprocessing, photo = catalogue.get("mobilenet_v2").preprocessing, scratch / "large.jpg"
    with Image.open(next(iter(sorted(scratch.glob("photos/train/*/*.jpg"))))) as picture:
        picture.resize(LARGE).save(photo, quality=90)
    whole, fraction = least(
        lambda: framing(preprocessing)(read_pixels(photo)), lambda: plain_square(preprocessing, photo)
    )
    return [
        Row("a photo of 12 megapixels, whole", whole * 1000),
        Row("the same at a fraction; beside the whole", fraction * 1000, whole * 1000),
    ]


def whole_step(photos: Path) -> list[Row]:
    """Milliseconds of a step of full fine-tuning, as it comes and with its BatchNorms run for themselves."""
    setup = result_of(prepare(parse(expand({"data": str(photos), "preset": "full_fine_tuning"})[0]), None))
    (batch,) = setup.inputs.training(training_batches(setup, 1)[:1], 1)
    let_learn(setup, setup.recipe.epochs)
    plain = replace(setup, stepped=setup.inputs.network)
    last_finite = Snapshot(setup.model)
    merged, apart = least(*(partial(take_step, one, batch, last_finite, 1) for one in (setup, plain)))
    return [
        Row("a step of full fine-tuning, BatchNorms apart", apart * 1000),
        Row("the same, merged into convolutions; beside it", merged * 1000, apart * 1000),
    ]


def first_point(photos: Path, scratch: Path) -> list[Row]:
    """Milliseconds from the start of the default recipe to its first step and its first epoch, in a warm process."""
    times: list[tuple[float, float]] = []
    recipe = Recipe(data=str(photos))
    for _ in range(2):
        with tempfile.TemporaryDirectory(dir=scratch) as empty:
            os.environ["THAW_HOME"] = str(Path(empty) / "home")
            begin, first = time.perf_counter(), {}
            for event in train(recipe, Path(empty) / "model.safetensors", Path(empty) / "features"):
                if isinstance(event, StepEnded | EpochEnded):
                    first.setdefault(type(event), time.perf_counter() - begin)
            times.append((first[StepEnded], first[EpochEnded]))
    step, epoch = (1000 * min(column) for column in zip(*times, strict=True))
    return [Row("to the first step, nothing kept", step), Row("to the first point of both curves", epoch)]


def least(*works: Callable[[], object]) -> list[float]:
    """The least seconds of each of `works`, which take turns."""
    seconds: list[list[float]] = [[] for _ in works]
    for work in works:
        work()  # Once for what only the first time takes.
    for _ in range(TURNS):
        for work, own in zip(works, seconds, strict=True):
            begin = time.perf_counter()
            work()
            own.append(time.perf_counter() - begin)
    return [min(own) for own in seconds]
