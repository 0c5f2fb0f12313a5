"""What a run has said so far, read from the store and sorted by kind."""

from dataclasses import dataclass

from core.events import EpochEnded, FeaturesReady, Notice, RunStarted, StepEnded
from core.runs.store import Store


@dataclass(frozen=True)
class History:
    """`started` is None until the first step is near, `features` where the whole network runs in every epoch."""

    started: RunStarted | None
    features: FeaturesReady | None
    notices: tuple[str, ...]
    steps: tuple[StepEnded, ...]
    epochs: tuple[EpochEnded, ...]

    def position(self, step: StepEnded) -> float:
        """Where a step lies on an axis of epochs: the last step of epoch 2 lies at 2."""
        return step.step / self.started.steps_per_epoch if self.started else 0.0


def read(store: Store, run: int) -> History:
    """The history of `run` as it is now."""
    events = [event for _, event in store.events(run)]
    return History(
        started=next((event for event in events if isinstance(event, RunStarted)), None),
        features=next((event for event in events if isinstance(event, FeaturesReady)), None),
        notices=tuple(event.text for event in events if isinstance(event, Notice)),
        steps=tuple(store.steps(run)),
        epochs=tuple(event for event in events if isinstance(event, EpochEnded)),
    )
