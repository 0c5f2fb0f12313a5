"""Names of files as people and their systems made them: which to pass over, which to refuse, how to show them."""

import re
import unicodedata
from collections.abc import Sequence

from core.data.limits import limits

RUBBISH = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
"""What systems leave behind beside dot-files; in lower case."""
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
PACKED_SUFFIXES = frozenset({".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst"})
JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Invisible, but part of emoji and of Persian words."""
_DRIVE = re.compile(r"^[A-Za-z]:")


def is_rubbish(parts: Sequence[str]) -> bool:
    """Whether a path, by its parts, is something that nobody wants to hear of."""
    return any(part.lower() in RUBBISH or (part.startswith(".") and part not in (".", "..")) for part in parts)


def suffix(name: str) -> str:
    """ ".jpg" of "Holiday.JPG" and of "Holiday.jpg. "; empty where there is none."""
    stem, dot, end = name.rstrip(". ").rpartition(".")
    return f".{end.lower()}" if dot and stem else ""


def shown(name: str) -> str:
    """A name that can be printed, stored and sent: composed (NFC), with a mark for what is no character.

    Nor is what turns the direction of a line, by which a name can claim to be another.
    """
    text = unicodedata.normalize("NFC", name)
    return "".join(c if c.isprintable() or c in JOINERS else "\N{REPLACEMENT CHARACTER}" for c in text)


def class_name(part: str) -> str:
    """The class that a folder stands for: its name without the dots and blanks at its end that systems add or drop."""
    return shown(part).strip().rstrip(". ") or "unnamed"


def fault(name: str) -> str | None:
    """Why a path out of an archive or a browser is refused; None for one that stays below where it is put."""
    allowed = limits()
    if "\0" in name:
        return "its name holds a zero byte"
    if "\\" in name or _DRIVE.match(name):
        return "its name is a path of Windows (a drive or backslashes); pack it again with another program"
    if name.startswith("/"):
        return "its path begins at the root of a disk"
    parts = name.split("/")
    if ".." in parts:
        return "its path leads out of the archive (..)"
    if len(parts) > allowed.depth + 1:
        return f"it lies in more than {allowed.depth} folders, one inside the other"
    if max(map(len, parts)) > allowed.name:
        return f"its name is longer than {allowed.name} characters"
    return None
