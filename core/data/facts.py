"""What each picture is: its size, whether it decodes, and what it looks like, so that copies are found."""

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import imagehash

from core.data.contents import content_of
from core.data.decode import as_seen, is_animated, opened
from core.data.memo import recall
from core.errors import BadImage
from core.events import Progress

HASH_SIDE = 16
"""16 × 16 bits tell handwritten digits apart; imagehash's usual 8 × 8 do not."""


@dataclass(frozen=True)
class Facts:
    """`width` × `height` pixels as seen; `content` is the SHA-256 of the file; `animated`: of several pictures,
    the first is used.

    `look` is the difference hash (imagehash.dhash) of HASH_SIDE² bits in hexadecimal: few bits differ between pictures
    that look the same. `problem` says why it cannot be used; sizes are 0 then.
    """

    width: int
    height: int
    content: str
    look: str
    animated: bool
    problem: str | None


def facts_of(paths: Sequence[Path], memo: Path) -> Generator[Progress, None, dict[Path, Facts]]:
    """The facts of each picture; `memo` remembers them. Raises BadImage for a file that is not there any more."""
    found = yield from recall(paths, memo, _look_at, "Looking at every picture")
    return {path: Facts(**values) for path, values in found.items()}


def _look_at(path: Path) -> dict[str, Any]:
    return asdict(facts(path))


def facts(path: Path) -> Facts:
    """The facts of one picture. Raises BadImage when its file cannot be read at all."""
    content = content_of(path)
    try:
        with opened(path) as image:
            image.load()
            seen = as_seen(image)
            look = str(imagehash.dhash(seen, HASH_SIDE))
            return Facts(*seen.size, content, look, is_animated(image), None)
    except BadImage as error:
        return Facts(0, 0, content, "", False, str(error).removeprefix(f"{path} ").rstrip("."))
