"""Everything about the pictures at a path: what there is, each one's facts, what to see to."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from core.data.facts import Facts, facts_of
from core.data.folder import ImageFolder, arrange
from core.data.found import Findings, find
from core.data.review import Remark, review
from core.data.split import split
from core.errors import BadData
from core.events import Progress


@dataclass(frozen=True)
class Inspection:
    """`folder` is None, and `fault` says why, where nothing can be trained on the pictures as they are."""

    found: Findings
    facts: dict[Path, Facts]
    folder: ImageFolder | None
    fault: str | None
    remarks: list[Remark]


def inspect(path: Path, memo: Path, val_fraction: float, seed: int) -> Generator[Progress, None, Inspection]:
    """Look at every picture; `memo` remembers them. Raises BadData or BadImage."""
    found = find(path)
    facts = yield from facts_of([picture.path for picture in found.pictures], memo)
    folder, fault = None, None
    try:
        folder = arrange(path, found)
    except BadData as error:
        fault = str(error)
    drawn = split(folder, val_fraction, seed) if folder else None
    yield Progress("Comparing the pictures", 0, 1)
    return Inspection(found, facts, folder, fault, review(found.pictures, facts, drawn))
