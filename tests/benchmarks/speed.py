"""How much faster than the usual loops: `python -m tests.benchmarks.speed [FOLDER]` from the project's root.

Every run is a process of its own, one at a time. The contestants take turns (A B C, A B C, …), so that a machine that
gets slower or faster meanwhile does so for all of them.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.benchmarks import job, machine, parts, pictures
from tests.benchmarks.job import Job
from tests.benchmarks.plan import PEERS, WORKS, Contestant, Task
from tests.benchmarks.report import Measured, report


def main() -> None:
    """Measure, or only print what was measured before."""
    options = parse_arguments()
    if options.report:
        kept = [json.loads(file.read_text(encoding="utf-8")) for file in options.report]
        print(report([part["machine"] for part in kept], [run for part in kept for run in part["runs"]]))
        return
    if options.parts:
        print(f"{parts.report()}\n\n{machine.describe(packages=('torch', 'torchvision', 'pillow'))}.")
        return
    here = machine.describe()
    runs: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="thaw-benchmark-") as scratch:
        for run in measure(options, Path(scratch)):
            runs.append(run)
            if options.json:
                options.json.write_text(json.dumps({"machine": here, "runs": runs}, indent=1), encoding="utf-8")
    print(report([here], runs))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    names = [work.name for work in WORKS]
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.speed", description="How much faster than the usual loops."
    )
    parser.add_argument("folder", nargs="?", type=Path, help="of pictures in class folders; made where none is given")
    parser.add_argument("--work", nargs="+", choices=names, default=names, help="only these pieces of work")
    parser.add_argument("--runs", type=int, default=3, help="of Thaw; the median counts")
    parser.add_argument("--peer-runs", type=int, help="of the peers; as many as Thaw's where it is left out")
    peers = [peer.name for peer in PEERS]
    parser.add_argument("--peers", nargs="+", choices=peers, default=peers, help="only these, besides Thaw")
    parser.add_argument("--epochs", type=int, help="instead of 25 and 3, to try whether everything works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep what was measured, run by run")
    parser.add_argument("--parts", action="store_true", help="only what Thaw's own parts take, in some seconds")
    parser.add_argument("--report", nargs="+", type=Path, metavar="FILE", help="only print what was kept")
    options = parser.parse_args()
    if options.peer_runs is None:
        options.peer_runs = options.runs
    return options


def measure(options: argparse.Namespace, scratch: Path) -> Iterator[dict[str, Any]]:
    """Everyone's runs, round after round, each said on stderr as it ends."""
    folder = scratch / "pictures"
    if options.folder:
        pictures.copy_split(options.folder, folder)
    else:
        pictures.make_photos(folder)
    chosen = entries(options)
    filled = scratch / "filled"
    for task, contestant in chosen:
        if contestant.features == "filled":
            job.run(contestant.module, replace(_job(task, folder, seed=0, features=filled), epochs=1))
    for turn in range(max(options.runs, options.peer_runs)):
        for task, contestant in chosen:
            if turn >= (options.peer_runs if contestant.is_peer else options.runs):
                continue
            with tempfile.TemporaryDirectory(dir=scratch) as empty:
                features = {"nowhere": None, "empty": Path(empty), "filled": filled}[contestant.features]
                result = job.run(contestant.module, _job(task, folder, seed=turn, features=features))
            measured = {key: result[key] for key in ("seconds", "accuracy")}
            yield {"task": task.name, "contestant": contestant.name, "epochs": task.epochs, **measured}
            said = f"{task.name}, {contestant.title}: {result['seconds']:.2f} s, {result['accuracy']:.1%}"
            print(f"round {turn + 1}, {said}", file=sys.stderr, flush=True)


def entries(options: argparse.Namespace) -> list[tuple[Task, Contestant]]:
    """Who does what, each pair once: two pieces of work may have a task in common."""
    works = [work for work in WORKS if work.name in options.work]
    pairs = [
        (work.task, contestant)
        for work in works
        for contestant in work.contestants
        if contestant.name in options.peers or not contestant.is_peer
    ]
    return [(replace(task, epochs=options.epochs or task.epochs), who) for task, who in dict.fromkeys(pairs)]


def _job(task: Task, folder: Path, *, seed: int, features: Path | None) -> Job:
    return Job(
        folder=str(folder),
        trainable=task.trainable,
        epochs=task.epochs,
        seed=seed,
        features=str(features) if features else None,
    )


if __name__ == "__main__":
    main()
