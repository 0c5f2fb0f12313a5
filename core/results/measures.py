"""What an event measured, under the names by which other tools show it."""

from core.events import EpochEnded, Event, StepEnded


def measures(event: Event) -> tuple[int, dict[str, float]]:
    """The step or epoch, and values such as "step/loss" or "val/accuracy"; nothing for events that measure nothing."""
    match event:
        case StepEnded():
            return event.step, {f"step/{name}": value for name, value in vars(event.metrics).items()}
        case EpochEnded():
            passes = {"train": event.train} | ({"val": event.val} if event.val else {})
            values = {f"{part}/{name}": value for part, all_ in passes.items() for name, value in vars(all_).items()}
            return event.epoch, values
        case _:
            return 0, {}
