"""A run in the files that TensorBoard reads."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import TrackerUnavailable
from core.events import Event, measures
from core.recipe import Recipe, to_settings


@contextmanager
def to_tensorboard(name: str, recipe: Recipe, folder: str) -> Iterator[Callable[[Event], None]]:
    """A tracker that writes into `folder`/`name`: metrics of steps and of epochs, and the recipe as text.

    Raises TrackerUnavailable when the package is absent, or the folder cannot be written.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TrackerUnavailable(
            "TensorBoard's package is not installed; `pip install tensorboard` and try again."
        ) from error
    if not folder:
        raise TrackerUnavailable("TensorBoard needs a folder, as in tensorboard:logs.")
    try:
        writer = SummaryWriter(str(Path(folder) / name))
    except OSError as error:
        template = "{folder} cannot be written ({cause}); choose another folder."
        raise TrackerUnavailable(template, folder=folder, cause=str(error.strerror)) from error
    writer.add_text("recipe", f"```json\n{json.dumps(to_settings(recipe), indent=1)}\n```")

    def track(event: Event) -> None:
        at, values = measures(event)
        for name, value in values.items():
            writer.add_scalar(name, value, at)

    try:
        yield track
    finally:
        writer.close()
