"""What to see to before training on pictures, duplicates among it, and what would mend it."""

import random
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.picture_info import PictureInfo, infos_of
from core.data.scan import ImageFolder, Picture, Scan, arrange_classes, scan
from core.data.split import Draw, Split, split
from core.errors import BadData
from core.events import Progress
from core.messages import Message

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


FEW = 10
"""Pictures of a class below which figures about it mean little: the least that PyTorch's own tutorials have is 60."""
IMBALANCE = 5.0
"""Times as many pictures in the largest class as in the smallest one, above which it is said."""


@dataclass(frozen=True)
class Issue:
    """`text` says what is wrong with `pictures`. `remedy` names what a click does: it leaves `leave_out` out."""

    text: Message
    pictures: tuple[Path, ...]
    remedy: Message
    leave_out: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "text": self.text.to_json(),
            "pictures": [str(path) for path in self.pictures],
            "remedy": self.remedy.to_json(),
            "leave_out": [str(path) for path in self.leave_out],
        }


@dataclass(frozen=True)
class Inspection:
    """What a look at every picture has shown. `infos` are by path, `issues` with the gravest first.

    `folder` is None, and `fault` says why, where nothing can be trained on the pictures as they are.
    """

    scanned: Scan
    infos: dict[Path, PictureInfo]
    folder: ImageFolder | None
    fault: Message | None
    issues: list[Issue]


def inspect(path: Path, memo: Path, draw: Draw) -> Generator[Progress, None, Inspection]:
    """Look at every picture; the file `memo` remembers them. Raises BadData, BadImage, BadSettings or OSError."""
    scanned = scan(path)
    infos = yield from infos_of([picture.path for picture in scanned.pictures], memo)
    folder, fault = None, None
    try:
        folder = arrange_classes(path, scanned)
    except BadData as error:
        fault = error.message
    drawn = split(folder, draw) if folder else None
    yield Progress(Message("Comparing the pictures"), 0, 1)
    return Inspection(scanned, infos, folder, fault, find_issues(scanned.pictures, infos, drawn))


def find_issues(pictures: Sequence[Picture], infos: Mapping[Path, PictureInfo], drawn: Split | None) -> list[Issue]:
    """All issues, the gravest first. `drawn` is the split as it would be trained on, if it can be drawn."""
    valid = {path: info for path, info in infos.items() if info.problem is None}
    labels = {picture.path: picture.label for picture in pictures}
    exact, near = exact_groups(valid), near_groups(valid)
    again = Message("Other pictures again, at another size or quality")
    return [
        *_damaged(infos),
        *_leaks([*exact, *near], drawn),
        *_contradictions(exact, labels),
        *_copies(exact, labels, Message("Exact copies of others")),
        *_copies(near, labels, again),
        *_animated(valid),
        *_small_classes(pictures),
        *_imbalance(pictures),
    ]


def _damaged(infos: Mapping[Path, PictureInfo]) -> Iterator[Issue]:
    bad = tuple(path for path, info in infos.items() if info.problem)
    if bad:
        text = Message("Damaged, or no picture at all: {pictures}.", pictures=_pictures(bad))
        yield Issue(text, bad, Message("Leave them out"), bad)


def _leaks(same: Groups, drawn: Split | None) -> Iterator[Issue]:
    if drawn is None:
        return
    train, val, test = ({example.path for example in part} for part in (drawn.train, drawn.val, drawn.test))
    in_val = "In training and in validation: {pictures}. Accuracy would look better than it is."
    in_test = "In the test and outside it: {pictures}. The test's accuracy would look better than it is."
    rows = ((in_val, val, train, "Leave them out of training"), (in_test, test, train | val, "Keep those of the test"))
    for template, held_out, others, remedy in rows:
        groups = [set(group) for group in same]
        both = tuple(dict.fromkeys(p for group in groups if group & held_out for p in sorted(group & others)))
        if both:
            yield Issue(Message(template, pictures=_pictures(both)), both, Message(remedy), both)


def _contradictions(same: Groups, labels: Mapping[Path, str]) -> Iterator[Issue]:
    groups = [group for group in same if len({labels[path] for path in group}) > 1]
    conflicting = tuple(path for group in groups for path in group)
    if conflicting:
        text = Message("In two classes at once: {pictures}.", pictures=_pictures(conflicting))
        yield Issue(text, conflicting, Message("Leave them all out"), conflicting)


def _copies(groups: Groups, labels: Mapping[Path, str], what: Message) -> Iterator[Issue]:
    same = [group for group in groups if len({labels[path] for path in group}) == 1]
    copies = tuple(path for group in same for path in group[1:])
    if copies:
        text = Message("{what}: {pictures}.", what=what, pictures=_pictures(copies))
        yield Issue(text, tuple(path for group in same for path in group), Message("Keep one of each"), copies)


def _animated(infos: Mapping[Path, PictureInfo]) -> Iterator[Issue]:
    moving = tuple(path for path, info in infos.items() if info.animated)
    if moving:
        template = "Animations, or files of several pages, of which the first picture is used: {pictures}."
        text = Message(template, pictures=_pictures(moving))
        yield Issue(text, moving, Message("Leave them out"), moving)


def _small_classes(pictures: Sequence[Picture]) -> Iterator[Issue]:
    counts = Counter(picture.label for picture in pictures)
    small = [label for label, count in counts.items() if count < FEW]
    if not small:
        return
    named: list[Message] = [Message("{name} ({pictures})", name=label, pictures=counts[label]) for label in small[:5]]
    which = Message("{named}", named=named)
    if len(small) > 5:
        which = Message("{named} and {more:,} more classes", named=named, more=len(small) - 5)
    template = "Fewer than {few} pictures, too few to learn from or to measure by: {which}."
    paths = tuple(picture.path for picture in pictures if picture.label in small)
    remedy = Message("Leave out this class", "Leave out these classes", count=len(small))
    yield Issue(Message(template, few=FEW, which=which), paths, remedy, paths)


def _imbalance(pictures: Sequence[Picture]) -> Iterator[Issue]:
    counts = Counter(picture.label for picture in pictures)
    if len(counts) < 2 or max(counts.values()) <= IMBALANCE * min(counts.values()):
        return
    (largest, most), (smallest, least) = counts.most_common()[0], counts.most_common()[-1]
    room = int(IMBALANCE * least)
    draw = random.Random(0)
    surplus: list[Path] = []
    for label, count in counts.items():
        if count > room:
            surplus += draw.sample([picture.path for picture in pictures if picture.label == label], count - room)
    template = (
        "{largest} has {most:,} pictures, {smallest} only {least:,}. A network that always says “{largest}” is right "
        "in {share:.0%} of cases; hold accuracy against that."
    )
    share = most / len(pictures)
    text = Message(template, largest=largest, most=most, smallest=smallest, least=least, share=share)
    yield Issue(text, (), Message("Take at most {room:,} of each class", room=room), tuple(surplus))


def _pictures(paths: Sequence[Path]) -> Message:
    return Message("{count:,} picture", "{count:,} pictures", count=len(paths))
