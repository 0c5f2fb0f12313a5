"""Whether the plain program trains as Thaw does: `python -m tests.benchmarks.taken_home` from the project's root.

For each preset and optimizer, Thaw trains with `--seeds` seeds of weights and order over one split, and so does the
program that each of these runs takes home. Compared are the means of the accuracy of the kept epoch; they are meant to
lie within three points. The two draw their numbers at random differently, so the interval of the difference, which is
paired by seed, says how much of it is chance.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from statistics import fmean

from core.events import EpochEnded
from core.figures import score
from core.home import SAMPLE_DATA
from core.presets import PRESETS, expand
from core.recipe import Recipe
from core.results.export.card import Facts
from core.results.export.packing import export
from core.results.export.script import OPTIMIZERS
from core.training.loop import train
from core.training.plan import check
from tests.benchmarks import machine
from tests.benchmarks.quality import difference
from tests.conftest import result_of

CLOSE = 3.0
"""Points by which the means may differ."""
FACTS = Facts("a run", (), "")


def main() -> None:
    """Train both ways, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.taken_home", description="Thaw and its programs.")
    parser.add_argument("--data", type=Path, default=SAMPLE_DATA / "stamps")
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=list(PRESETS))
    parser.add_argument("--optimizers", nargs="+", choices=list(OPTIMIZERS), default=list(OPTIMIZERS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--size", type=int, default=96, help="of the images, in pixels")
    options = parser.parse_args()
    print("| preset, optimizer | Thaw, mean | plain program, mean | difference in points, 95 % interval |")
    print("| --- | ---: | ---: | ---: |")
    apart = []
    for preset in options.presets:
        for optimizer in options.optimizers:
            ours, theirs = zip(*(both(options, preset, optimizer, seed) for seed in range(options.seeds)), strict=True)
            apart.append(100 * (fmean(theirs) - fmean(ours)))
            means = f"{fmean(ours):.1%} | {fmean(theirs):.1%}"
            paired = difference([plain - thaw for plain, thaw in zip(theirs, ours, strict=True)])
            print(f"| {preset}, {optimizer} | {means} | {paired} |", flush=True)
    met = max(map(abs, apart)) <= CLOSE
    print(f"\n{options.seeds} seeds over one split, {options.size} px. {machine.describe(packages=('torch',))}.")
    print(f"\nWithin {CLOSE} points: **{'met' if met else 'not met'}**.")


def both(options: argparse.Namespace, preset: str, optimizer: str, seed: int) -> tuple[float, float]:
    """The accuracy of the kept epoch, 0…1: Thaw's, and that of the program that the run takes home."""
    recipe = recipe_of(options, preset, optimizer, seed)
    with tempfile.TemporaryDirectory(prefix="thaw-benchmark-") as folder:
        scratch = Path(folder)
        weights = scratch / "model.safetensors"
        ended = [event for event in train(recipe, weights, scratch / "features") if isinstance(event, EpochEnded)]
        kept = score(next(one for one in reversed(ended) if one.kept).confusion)
        assert kept
        with zipfile.ZipFile(result_of(export("train", weights, FACTS, scratch, scratch / "features"))) as archive:
            archive.extractall(scratch)
        command = [sys.executable, "train.py"]
        said = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=True).stdout
        found = re.search(r"kept: (\d+) of (\d+) right", said)
        assert found
        return kept.share, int(found[1]) / int(found[2])


def recipe_of(options: argparse.Namespace, preset: str, optimizer: str, seed: int) -> Recipe:
    """The preset's, over the split of seed 0."""
    seeds = {"split_seed": 0, "init_seed": seed, "order_seed": seed}
    settings = {"data": str(options.data.resolve()), "optimizer": {"name": optimizer}, "image_size": options.size}
    return check(expand(settings | seeds | {"preset": preset})[0])


if __name__ == "__main__":
    main()
