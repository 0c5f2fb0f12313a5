"""What the presets reach: `python -m tests.benchmarks.quality [FOLDER …]` from the project's root.

Each preset trains on the same splits of the same pictures, one seed after the other. Head only runs over `--splits`
seeds, whole networks over `--seeds` of them, because they take a hundred times as long. What is compared is paired: the
difference on the same split, its mean, and a 95 % interval of that mean (Student's t). `LogisticRegression` is
scikit-learn's, with its C chosen by cross-validation, on the very features that Thaw keeps.
"""

import argparse
import math
import statistics
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


@dataclass(frozen=True)
class Reached:
    """What one run came to on its validation pictures, at its last epoch and at the kept one: shares, 0…1."""

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
    parser.add_argument("--optimizer", default="adam", help="whose own rate the presets scale")
    return parser.parse_args()


def measure(data: Path, options: argparse.Namespace) -> dict[str, list[Reached]]:
    """What each contestant reached, seed by seed."""
    reached: dict[str, list[Reached]] = {}
    with tempfile.TemporaryDirectory(prefix="thaw-benchmark-") as scratch:
        for name in options.presets:
            count = options.splits if name == HEAD_ONLY else options.seeds
            for seed in range(options.first_seed, options.first_seed + count):
                settings = {"data": str(data.resolve()), "seed": seed, "optimizer": {"name": options.optimizer}}
                recipe = check(expand(settings | {"preset": name})[0])
                reached.setdefault(name, []).append(thaw(recipe, Path(scratch)))
                if name == HEAD_ONLY:
                    reached.setdefault(LOGISTIC, []).append(logistic(recipe, Path(scratch)))
    return reached


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


def table(reached: dict[str, list[Reached]]) -> str:
    """A line for each contestant; differences are to head only, on the seeds that both have."""
    lines = [
        "| | seeds | kept epoch: mean (range) | last epoch: mean | balanced: mean | to head only, 95 % interval |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    base = [one.kept for one in reached.get(HEAD_ONLY, [])]
    for name, runs in reached.items():
        kept = [one.kept for one in runs]
        span = f"{percent(statistics.fmean(kept))} ({percent(min(kept))} to {percent(max(kept))})"
        others = [
            percent(statistics.fmean(values)) for values in zip(*((r.last, r.balanced) for r in runs), strict=True)
        ]
        paired = [own - theirs for own, theirs in zip(kept, base, strict=False)]
        about = difference(paired) if name != HEAD_ONLY and len(paired) > 1 else "–"
        lines.append(f"| {name} | {len(runs)} | {span} | {others[0]} | {others[1]} | {about} |")
    return "\n".join(lines) + "\n"


def difference(paired: list[float]) -> str:
    """Mean of paired differences in points, with its interval."""
    mean = 100 * statistics.fmean(paired)
    half = 100 * statistics.stdev(paired) / math.sqrt(len(paired)) * float(stats.t.ppf(0.975, len(paired) - 1))
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


def percent(share: float) -> str:
    """One digit after the point."""
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
