"""The contestant Thaw: its generator of events, read by a plain loop."""

import tempfile
from pathlib import Path

from core.events import EpochEnded
from core.training.loop import train
from tests.benchmarks import job
from tests.benchmarks.job import Job, Result


def carry_out(task: Job) -> Result:
    """Final validation accuracy in 0…1, and the seconds of every epoch."""
    features = Path(task.features) if task.features else None
    with tempfile.TemporaryDirectory() as scratch:
        events = list(train(job.recipe(task), Path(scratch) / "model.safetensors", features))
    epochs = [event for event in events if isinstance(event, EpochEnded)]
    last = epochs[-1].val
    return {"accuracy": last.accuracy if last else None, "epoch_seconds": [epoch.seconds for epoch in epochs]}


if __name__ == "__main__":
    job.main(carry_out)
