"""Files that came from a browser: kept under numbers, their names beside them, until they are taken in."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from core.data.limits import limits
from core.data.names import fault, is_rubbish, shown
from core.data.stored import Skipped
from core.errors import BadData
from core.intake.incoming import Incoming, Member

NAMES = "names.json"


def put(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Keep files, each with the path that the person knows it by ("cats/1.jpg"), in `folder`, which is made."""
    folder.mkdir(parents=True)
    names: list[str] = []
    for number, (name, content) in enumerate(files):
        (folder / str(number)).write_bytes(content)
        names.append(name)
    (folder / NAMES).write_text(json.dumps(names), encoding="utf-8")


def members(folder: Path) -> Iterator[Incoming]:
    """All that was `put` into `folder`. Raises BadData when there are more files than are allowed."""
    names: list[str] = json.loads((folder / NAMES).read_bytes())
    if len(names) > limits().files:
        raise BadData(f"These are {len(names):,} files; {limits().files:,} are allowed (the setting THAW_MAX_FILES).")
    for number, name in enumerate(names):
        if is_rubbish(name.split("/")):
            continue
        if reason := fault(name):
            yield Skipped(shown(name), reason)
        else:
            yield Member(name, (folder / str(number)).read_bytes, (number + 1) / len(names))
