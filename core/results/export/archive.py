"""A zip that is the same whenever it is made of the same."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

from core import files

SAME_DATE = (1980, 1, 1, 0, 0, 0)
"""The first that a zip can name."""
INCOMPRESSIBLE = (".safetensors", ".onnx", ".pt")

Contents = dict[str, str | bytes | Path]
"""Texts, bytes and files, by their names in the archive."""


def pack(target: Path, contents: Mapping[str, str | bytes | Path]) -> None:
    """Write the archive, whole or not at all."""

    def write(partial: Path) -> None:
        with zipfile.ZipFile(partial, "w") as archive:
            for name, content in contents.items():
                about = zipfile.ZipInfo(name, SAME_DATE)
                is_small = not name.endswith(INCOMPRESSIBLE)
                about.compress_type = zipfile.ZIP_DEFLATED if is_small else zipfile.ZIP_STORED
                about.external_attr = 0o644 << 16
                archive.writestr(about, content.read_bytes() if isinstance(content, Path) else content)

    files.write_aside(target, write)
