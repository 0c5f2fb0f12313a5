"""What the presets reach: `python -m tests.benchmarks.quality [FOLDER …]` from the project's root.

Each preset trains on the same splits of the same pictures, one seed after the other. Head only runs over `--splits`
seeds, whole networks over `--seeds` of them, because they take a hundred times as long. What is compared is paired: the
difference on the same split, its mean, and a 95 % interval of that mean (Student's t). `LogisticRegression` is
scikit-learn's, with its C chosen by cross-validation, on the very features that Thaw keeps. With `--beside KEY=VALUE`,
each preset also trains with that setting, and is compared with itself without it.
"""

import argparse
import math
import statistics
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from core.cli.train import apply
from core.events import EpochEnded
from core.figures import balanced_accuracy, score
from core.home import SAMPLE_DATA
from core.presets import PRESETS, expand
from core.recipe import Recipe
from core.training.loop import train
from core.training.plan import check
from core.training.setup import prepare
from tests.benchmarks import machine
from tests.conftest import result_of

FIRST_SEED = 100
"""The presets were chosen on seeds below it; what is reported comes from others."""
HEAD_ONLY = "feature_extraction"
LOGISTIC = "LogisticRegression"

Contestant = tuple[str, str]
"""A preset, or LOGISTIC, and the setting that it is given besides, `KEY=VALUE`, or nothing."""


@dataclass(frozen=True)
class Reached:
    """What one run came to on its validation pictures: shares, 0…1. `balanced` is of the kept epoch too."""

    last: float
    kept: float
    balanced: float


def main() -> None:
    """Train, and print a table for each folder."""
    options = parse_arguments()
    for data in options.folders or [SAMPLE_DATA / "stamps", SAMPLE_DATA / "digits"]:
        print(f"## {data.name}\n")
        print(table(measure(data, options)), flush=True)
    print(f"\n{machine.describe(packages=('torch', 'torchvision', 'scikit-learn'))}.")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.quality", description="What the presets reach.")
    parser.add_argument("folders", nargs="*", type=Path, help="pictures in class folders; the samples without any")
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=list(PRESETS))
    parser.add_argument("--splits", type=int, default=20, help="seeds of head only")
    parser.add_argument("--seeds", type=int, default=10, help="seeds of presets that train more")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--beside", metavar="KEY=VALUE", default="", help="train with this setting too")
    parser.add_argument("--optimizer", default="adam", help="whose own rate the presets scale")
    return parser.parse_args()


def measure(data: Path, options: argparse.Namespace) -> dict[Contestant, list[Reached]]:
    """What each contestant reached, seed by seed."""
    reached: dict[Contestant, list[Reached]] = {}
    with tempfile.TemporaryDirectory(prefix="thaw-benchmark-") as folder:
        scratch = Path(folder)
        for name in options.presets:
            count = options.splits if name == HEAD_ONLY else options.seeds
            for seed in range(options.first_seed, options.first_seed + count):
                recipes = {
                    change: recipe_of(data, seed, options.optimizer, name, change) for change in ("", options.beside)
                }
                for change, recipe in recipes.items():
                    run = thaw(recipe, scratch)
                    reached.setdefault((name, change), []).append(run)
                    said = f"{data.name}, {title((name, change))}, seed {seed}: {percent(run.kept)}"
                    print(said, file=sys.stderr, flush=True)
                if name == HEAD_ONLY:
                    reached.setdefault((LOGISTIC, ""), []).append(logistic(recipes[""], scratch))
    return reached


def title(contestant: Contestant) -> str:
    """What a contestant is called."""
    return ", ".join(filter(None, contestant))


def recipe_of(data: Path, seed: int, optimizer: str, preset: str, change: str) -> Recipe:
    """A preset's recipe, with the setting `change` besides, where there is one."""
    settings: dict[str, Any] = {"data": str(data.resolve()), "seed": seed, "optimizer": {"name": optimizer}}
    if change:
        apply(change, settings)
    return check(expand(settings | {"preset": preset})[0])


def thaw(recipe: Recipe, scratch: Path) -> Reached:
    """Thaw's own training."""
    said = train(recipe, scratch / "model.safetensors", scratch / "features")
    epochs = [event for event in said if isinstance(event, EpochEnded)]
    kept = next(one for one in reversed(epochs) if one.kept)
    shares = [measured.share for one in (epochs[-1], kept) if (measured := score(one.confusion))]
    return Reached(*shares, balanced_accuracy(kept.confusion))


def logistic(recipe: Recipe, scratch: Path) -> Reached:
    """scikit-learn's, on the features that Thaw has kept for the same split."""
    setup = result_of(prepare(recipe, scratch / "features"))
    (train_x, train_y), (val_x, val_y) = (_whole(setup, part) for part in (setup.split.train, setup.split.val))
    model = make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=8, cv=3, max_iter=2000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(train_x, train_y)
    right = model.predict(val_x) == val_y
    recalls = [right[val_y == label].mean() for label in np.unique(val_y)]
    return Reached(float(right.mean()), float(right.mean()), float(np.mean(recalls)))


def _whole(setup: Any, examples: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    ((features,), labels) = next(setup.inputs.plain(examples, [list(range(len(examples)))]))
    return features.flatten(1).numpy(), labels.numpy()


def table(reached: dict[Contestant, list[Reached]]) -> str:
    """A line for each contestant; differences are to head only, or to the same without its setting, seed by seed."""
    lines = [
        "| | seeds | kept: mean (range) | last: mean | balanced | difference, 95 % interval | the same, balanced |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (name, change), runs in reached.items():
        kept = [one.kept for one in runs]
        span = f"{percent(statistics.fmean(kept))} ({percent(min(kept))} to {percent(max(kept))})"
        last, balanced = (
            percent(statistics.fmean(values)) for values in zip(*((r.last, r.balanced) for r in runs), strict=True)
        )
        base = reached.get((name if change else HEAD_ONLY, ""), [])
        pairs = [] if base is runs else list(zip(runs, base, strict=False))
        about = difference([own.kept - theirs.kept for own, theirs in pairs])
        evenly = difference([own.balanced - theirs.balanced for own, theirs in pairs])
        lines.append(f"| {title((name, change))} | {len(runs)} | {span} | {last} | {balanced} | {about} | {evenly} |")
    return "\n".join(lines) + "\n"


def difference(paired: list[float]) -> str:
    """Mean of paired differences in points, with its interval; a dash for less than two."""
    if len(paired) < 2:
        return "–"
    mean = 100 * statistics.fmean(paired)
    half = 100 * statistics.stdev(paired) / math.sqrt(len(paired)) * float(stats.t.ppf(0.975, len(paired) - 1))
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


def percent(share: float) -> str:
    """One digit after the point."""
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
