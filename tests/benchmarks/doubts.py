"""How many wrong labels are found: `python -m tests.benchmarks.doubts` from the project's root.

Among all stamps, eight get another class, drawn by the seed. Counted are those of them among the 8 and the 16 most
doubtful pictures, over `--seeds` seeds.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.home import SAMPLE_DATA
from core.recipe_settings import parse
from core.results.label_doubts import rank
from core.results.probe import embed, leave_one_out, standardised
from core.training.plan import pictures_question
from core.training.setup import prepare
from tests.benchmarks import machine
from tests.conftest import result_of

PLANTED = 8
FIRST_SEED = 100
"""The penalty was chosen on seeds below it."""


def main() -> None:
    """Plant, rank, count."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.doubts", description="Planted wrong labels.")
    parser.add_argument("--seeds", type=int, default=20)
    seeds = range(FIRST_SEED, FIRST_SEED + parser.parse_args().seeds)
    with tempfile.TemporaryDirectory(prefix="thaw-benchmark-") as scratch:
        recipe = pictures_question(parse({"data": str(SAMPLE_DATA / "stamps")}))
        setup = result_of(prepare(recipe, Path(scratch)))
        examples = [*setup.split.train, *setup.split.val]
        vectors, _ = result_of(embed(setup, examples))
    inputs, classes = standardised(vectors), len(setup.classes)
    found = []
    for seed in seeds:
        draw = np.random.default_rng(seed)
        labels = np.array([one.label for one in examples])
        planted = draw.permutation(len(labels))[:PLANTED]
        for index in planted:
            labels[index] = (labels[index] + draw.integers(1, classes)) % classes
        given = [replace(one, label=int(label)) for one, label in zip(examples, labels, strict=True)]
        paths = {examples[index].path for index in planted}
        ranked = [one.path for one in rank(given, leave_one_out(inputs, labels, classes))]
        found.append([len(paths & set(ranked[:first])) for first in (8, 16)])
    first, second = np.mean(found, axis=0)
    print(
        f"of {PLANTED} in {len(examples)}: {first:.1f} in the first 8, {second:.1f} in the first 16; {len(found)} seeds"
    )
    print(machine.describe(packages=("torch", "numpy")))


if __name__ == "__main__":
    main()
