"""One piece of training as a value, and the protocol by which a process of its own carries it out.

A contestant is a module with a function from a job to what came of it. Started as `python -m`, it takes the job as
JSON and prints what came of it as one line of JSON, the seconds included. Its imports are done before the clock starts.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from core.recipe import Recipe
from core.recipe_settings import parse

ROOT = Path(__file__).parents[2]
BACKBONE = "mobilenet_v2"
BATCH_SIZE = 32
LR = 0.01
MOMENTUM = 0.9

Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to train.

    folder      train/ and val/ of class folders; Thaw alone takes class folders too, and splits them itself
    trainable   names of blocks in Thaw's catalogue
    features    Thaw's folder of features; None lets every epoch run the whole network
    image_size  side in pixels; None takes the weights' own 224
    """

    folder: str
    trainable: Literal["all"] | Sequence[str]
    epochs: int
    seed: int = 0
    features: str | None = None
    image_size: int | None = None


def recipe(job: Job) -> Recipe:
    """The job in Thaw's own words."""
    settings = {
        "data": job.folder,
        "backbone": BACKBONE,
        "trainable": job.trainable,
        "epochs": job.epochs,
        "batch_size": BATCH_SIZE,
        "seed": job.seed,
        "optimizer": {"name": "sgd", "lr": LR, "momentum": MOMENTUM},
    }
    return parse(settings if job.image_size is None else {**settings, "image_size": job.image_size})


def command(contestant: str, job: Job) -> list[str]:
    """What starts the module `contestant` of this folder on `job`, from the project's root."""
    return [sys.executable, "-m", f"tests.benchmarks.{contestant}", json.dumps(asdict(job))]


def run(contestant: str, job: Job) -> Result:
    """Carry out `job` in a process of its own. Ends the benchmark when that process fails."""
    child = subprocess.run(command(contestant, job), cwd=ROOT, capture_output=True, text=True, check=False)
    if child.returncode:
        sys.exit(f"{contestant} failed:\n{child.stderr}")
    return result_in(child.stdout)


def result_in(printed: str) -> Result:
    """The last line that a contestant printed: libraries may have had something to say before it."""
    result: Result = json.loads(printed.splitlines()[-1])
    return result


def main(carry_out: Callable[[Job], Result]) -> None:
    """The main program of a contestant."""
    job = Job(**json.loads(sys.argv[1]))
    begin = time.perf_counter()
    result = carry_out(job)
    print(json.dumps({"seconds": time.perf_counter() - begin, **result}))
