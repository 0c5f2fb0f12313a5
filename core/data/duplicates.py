"""Groups of pictures that are the same, or look the same."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.data.picture_info import PictureInfo

NEAR = 7
"""Bits of 256 that may differ. Measured on Thaw's samples: of 39 photos saved again at half the quality, half or double
the size, 95 of 100 differ by 4 at the most, and no two of 156 photos by less than 36, of 400 digits by less than 8."""
BANDS = 8
"""Of 32 bits each: where at most 7 bits differ, one of 8 bands is the same."""
AT_ONCE = 512
"""Rows that are compared with all others of their group at a time."""

Groups = list[tuple[Path, ...]]


def exact_groups(infos: Mapping[Path, PictureInfo]) -> Groups:
    """Files with the same bytes."""
    same: dict[str, list[Path]] = defaultdict(list)
    for path, info in infos.items():
        same[info.content].append(path)
    return [tuple(paths) for paths in same.values() if len(paths) > 1]


def near_groups(infos: Mapping[Path, PictureInfo]) -> Groups:
    """Pictures that look the same but are not the same files: of files with the same bytes, the first one counts."""
    first: dict[str, Path] = {}
    for path, info in infos.items():
        if info.perceptual_hash:
            first.setdefault(info.content, path)
    paths = list(first.values())
    if not paths:
        return []
    hashes = np.array([np.frombuffer(bytes.fromhex(infos[path].perceptual_hash), np.uint8) for path in paths])
    return [tuple(paths[row] for row in group) for group in _joined(len(paths), _pairs(hashes))]


def _pairs(hashes: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """All pairs of rows of `hashes` (N, 32) of which at most NEAR bits differ; some pairs come more than once."""
    # Bits are mixed: many pictures have even margins, which would fill whole bands.
    order = np.random.default_rng(0).permutation(hashes.shape[1] * 8)
    mixed = np.packbits(np.unpackbits(hashes, axis=1)[:, order], axis=1)
    bands = np.ascontiguousarray(mixed).view(np.uint32)
    for band in range(BANDS):
        rows = np.argsort(bands[:, band], kind="stable")
        starts = np.flatnonzero(np.diff(bands[rows, band], prepend=bands[rows[0], band] + 1))
        for group in np.split(rows, starts[1:]):
            if len(group) > 1:
                yield from _pairs_within(hashes, group)


def _pairs_within(hashes: NDArray[np.uint8], group: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """The pairs among the rows `group` (M,)."""
    for start in range(0, len(group), AT_ONCE):
        few = group[start : start + AT_ONCE]
        differ = np.bitwise_count(hashes[few][:, None] ^ hashes[group][None]).sum(-1, dtype=np.uint16)
        for row, column in zip(*np.nonzero(differ <= NEAR), strict=True):
            if few[row] < group[column]:
                yield int(few[row]), int(group[column])


def _joined(count: int, pairs: Iterator[tuple[int, int]]) -> Iterator[Sequence[int]]:
    """Groups of rows that pairs connect, each in order."""
    leaders = list(range(count))

    def leader(row: int) -> int:
        while leaders[row] != row:
            leaders[row] = leaders[leaders[row]]
            row = leaders[row]
        return row

    for one, other in pairs:
        first, second = sorted((leader(one), leader(other)))
        leaders[second] = first
    groups: dict[int, list[int]] = defaultdict(list)
    for row in range(count):
        groups[leader(row)].append(row)
    return (group for group in groups.values() if len(group) > 1)
