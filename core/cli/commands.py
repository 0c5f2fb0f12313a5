"""What the commands share: the type of argparse's collection of them, and the store."""

import argparse
from typing import TYPE_CHECKING

from core.runs import home
from core.runs.store import Store

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def open_store() -> Store:
    """The store that the dashboard uses too."""
    return Store(home.database_url())


def percent(share: float | None) -> str:
    """0.8333 → "83.3 %"; a dash where there is none."""
    return "–" if share is None else f"{share:.1%}".replace("%", " %")
