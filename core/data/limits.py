"""How large what people bring may be. Each limit is a setting: THAW_MAX_FILES for `files`, and so on."""

import dataclasses
import os
from dataclasses import dataclass

from core.errors import BadData

PREFIX = "THAW_MAX_"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Sizes in megabytes (10⁶ bytes), pixels, or counts; `ratio` is unpacked to packed bytes."""

    archive_mb: int = 200
    unpacked_mb: int = 2_000
    file_mb: int = 20
    files: int = 20_000
    ratio: int = 200
    depth: int = 4
    name: int = 120
    side: int = 10_000
    megapixels: int = 40
    aspect: int = 20
    classes: int = 1_000


SMALLEST_SIDE = 10
"""In pixels: less shows nothing, whatever is allowed otherwise."""


def limits() -> Limits:
    """The limits that hold now. Raises BadData when a variable of the environment is no number."""
    given = {}
    for field in dataclasses.fields(Limits):
        variable = PREFIX + field.name.upper()
        if text := os.environ.get(variable):
            if not text.isdecimal() or int(text) < 1:
                raise BadData(f"{variable} = {text}: must be a whole number above 0.")
            given[field.name] = int(text)
    return Limits(**given)
