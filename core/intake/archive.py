"""What an archive holds, one member after the other, none of it on the disk.

Nothing is trusted that an archive says of itself: what is really read is counted, and the reading ends at the limits.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from core.data.limits import limits
from core.data.names import shown
from core.errors import BadData
from core.intake import tarred, zipped
from core.intake.bounds import damaged
from core.intake.incoming import Incoming

FOREIGN = {b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive"}


def members(path: Path, title: str | None = None) -> Iterator[Incoming]:
    """All that the archive at `path` holds, in its own order, but for what systems leave behind.

    Sentences call it by its `title`, or else by its file's name. Raises BadData when it is no zip or tar archive, is
    damaged, or over a limit.
    """
    allowed = limits()
    name, size = shown(title or path.name), path.stat().st_size
    if size > allowed.archive_mb * 1_000_000:
        most = f"{allowed.archive_mb:,} MB are allowed (the setting THAW_MAX_ARCHIVE_MB)"
        raise BadData(f"{name} has {size / 1e6:,.0f} MB; {most}.")
    with path.open("rb") as file:
        start = file.read(512)
        if foreign := next((kind for magic, kind in FOREIGN.items() if start.startswith(magic)), None):
            raise BadData(f"{name} is {foreign}, which Thaw does not read; unpack it, and choose the folder or a zip.")
        if tarred.is_one(start):
            yield from tarred.members(file, name, size, allowed)
        elif zipfile.is_zipfile(file):
            yield from zipped.members(file, name, size, allowed)
        else:
            raise damaged(name, "it begins like neither")
