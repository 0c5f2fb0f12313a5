"""Groups of pictures that are the same, or look the same."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from core.data.picture_info import PictureInfo

NEAR = 7
"""Bits of 256 that may differ. Measured on Thaw's samples: of 39 photos saved again at half the quality, half or double
the size, 95 of 100 differ by 4 at the most, and no two of 156 photos by less than 36, of 400 digits by less than 8."""
BANDS = 8
"""Of 32 bits each: where at most 7 bits differ, one of 8 bands is the same."""
AT_ONCE = 512
"""Rows compared with all others of their group at a time."""

Item = TypeVar("Item", bound=Hashable)
Groups = list[tuple[Path, ...]]


def exact_groups(facts: Mapping[Path, PictureInfo]) -> Groups:
    """Files with the same bytes."""
    same: dict[str, list[Path]] = defaultdict(list)
    for path, known in facts.items():
        same[known.content].append(path)
    return [tuple(paths) for paths in same.values() if len(paths) > 1]


def near_groups(facts: Mapping[Path, PictureInfo]) -> Groups:
    """Pictures that look the same and are not the same files: each group has one of every file's contents."""
    first: dict[str, Path] = {}
    for path, known in facts.items():
        if known.look:
            first.setdefault(known.content, path)
    paths = list(first.values())
    if not paths:
        return []
    bits = np.array([np.frombuffer(bytes.fromhex(facts[path].look), np.uint8) for path in paths])
    return [tuple(paths[row] for row in group) for group in _joined(len(paths), _pairs(bits))]


def _pairs(looks: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """All pairs of rows of `looks` (N, 32) of which at most NEAR bits differ."""
    # Mixed, or the even margins that many pictures have would fill whole bands.
    order = np.random.default_rng(0).permutation(looks.shape[1] * 8)
    mixed = np.packbits(np.unpackbits(looks, axis=1)[:, order], axis=1)
    bands = np.ascontiguousarray(mixed).view(np.uint32)
    for band in range(BANDS):
        rows = np.argsort(bands[:, band], kind="stable")
        starts = np.flatnonzero(np.diff(bands[rows, band], prepend=bands[rows[0], band] + 1))
        for group in np.split(rows, starts[1:]):
            if len(group) > 1:
                yield from _within(looks, group)


def _within(looks: NDArray[np.uint8], group: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    for start in range(0, len(group), AT_ONCE):
        few = group[start : start + AT_ONCE]
        differ = np.bitwise_count(looks[few][:, None] ^ looks[group][None]).sum(-1, dtype=np.uint16)
        for row, column in zip(*np.nonzero(differ <= NEAR), strict=True):
            if few[row] < group[column]:
                yield int(few[row]), int(group[column])


def _joined(count: int, pairs: Iterator[tuple[int, int]]) -> Iterator[Sequence[int]]:
    """Groups of rows that pairs connect, each in order."""
    leader = list(range(count))

    def lead(row: int) -> int:
        while leader[row] != row:
            leader[row] = leader[leader[row]]
            row = leader[row]
        return row

    for one, other in pairs:
        first, second = sorted((lead(one), lead(other)))
        leader[second] = first
    groups: dict[int, list[int]] = defaultdict(list)
    for row in range(count):
        groups[lead(row)].append(row)
    return (group for group in groups.values() if len(group) > 1)
