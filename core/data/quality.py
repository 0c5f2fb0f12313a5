"""What to see to before training on pictures, and what would mend it."""

import random
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.data import duplicates
from core.data.picture_info import PictureInfo, infos_of
from core.data.scan import ImageFolder, Picture, Scan, arrange_classes, scan
from core.data.split import Split, split
from core.errors import BadData
from core.events import Progress

FEW = 10
"""Pictures of a class below which figures about it mean little: the least that PyTorch's own tutorials have is 60."""
IMBALANCE = 5.0
"""Times as many pictures in the largest class as in the smallest one, above which it is said."""


@dataclass(frozen=True)
class Issue:
    """`text` says what is wrong with `pictures`. `remedy` names what a click does: it leaves `leave_out` out."""

    text: str
    pictures: tuple[Path, ...]
    remedy: str
    leave_out: tuple[Path, ...]


def find_issues(pictures: Sequence[Picture], facts: Mapping[Path, PictureInfo], drawn: Split | None) -> list[Issue]:
    """All remarks, the gravest first. `drawn` is the split as it would be trained on, if it can be drawn."""
    sound = {path: known for path, known in facts.items() if known.problem is None}
    labels = {found.path: found.label for found in pictures}
    exact, near = duplicates.exact_groups(sound), duplicates.near_groups(sound)
    return [
        *_damaged(facts),
        *_leaks([*exact, *near], drawn),
        *_contradictions(exact, labels),
        *_copies(exact, labels, "Exact copies of others"),
        *_copies(near, labels, "Other pictures again, at another size or quality"),
        *_animated(sound),
        *_few(pictures),
        *_imbalance(pictures),
    ]


def _damaged(facts: Mapping[Path, PictureInfo]) -> Iterator[Issue]:
    bad = tuple(path for path, known in facts.items() if known.problem)
    if bad:
        yield Issue(f"Damaged, or no picture at all: {_pictures(bad)}.", bad, "Leave them out", bad)


def _leaks(same: duplicates.Groups, drawn: Split | None) -> Iterator[Issue]:
    if drawn is None:
        return
    validating = {example.path for example in drawn.val}
    training = {example.path for example in drawn.train}
    groups = [set(group) for group in same]
    both = tuple(dict.fromkeys(p for group in groups if group & validating for p in sorted(group & training)))
    if both:
        text = f"In training and in validation: {_pictures(both)}. Accuracy would look better than it is."
        yield Issue(text, both, "Leave them out of training", both)


def _contradictions(same: duplicates.Groups, labels: Mapping[Path, str]) -> Iterator[Issue]:
    groups = [group for group in same if len({labels[path] for path in group}) > 1]
    torn = tuple(path for group in groups for path in group)
    if torn:
        yield Issue(f"In two classes at once: {_pictures(torn)}.", torn, "Leave them all out", torn)


def _copies(groups: duplicates.Groups, labels: Mapping[Path, str], what: str) -> Iterator[Issue]:
    same = [group for group in groups if len({labels[path] for path in group}) == 1]
    spare = tuple(path for group in same for path in group[1:])
    if spare:
        yield Issue(f"{what}: {_pictures(spare)}.", tuple(p for g in same for p in g), "Keep one of each", spare)


def _animated(facts: Mapping[Path, PictureInfo]) -> Iterator[Issue]:
    moving = tuple(path for path, known in facts.items() if known.animated)
    if moving:
        text = f"Animations, or files of several pages, of which the first picture is used: {_pictures(moving)}."
        yield Issue(text, moving, "Leave them out", moving)


def _few(pictures: Sequence[Picture]) -> Iterator[Issue]:
    counts = Counter(found.label for found in pictures)
    few = [label for label, count in counts.items() if count < FEW]
    if few:
        more = f" and {len(few) - 5:,} more classes" if len(few) > 5 else ""
        named = ", ".join(f"{label} ({counts[label]})" for label in few[:5]) + more
        text = f"Fewer than {FEW} pictures, too few to learn from or to measure by: {named}."
        files = tuple(found.path for found in pictures if found.label in few)
        yield Issue(text, files, f"Leave out {'these classes' if len(few) > 1 else 'this class'}", files)


def _imbalance(pictures: Sequence[Picture]) -> Iterator[Issue]:
    counts = Counter(found.label for found in pictures)
    if len(counts) < 2 or max(counts.values()) <= IMBALANCE * min(counts.values()):
        return
    (largest, most), (smallest, least) = counts.most_common()[0], counts.most_common()[-1]
    room = int(IMBALANCE * least)
    draw = random.Random(0)
    spare: list[Path] = []
    for label, count in counts.items():
        if count > room:
            spare += draw.sample([found.path for found in pictures if found.label == label], count - room)
    text = (
        f"{largest} has {most:,} pictures, {smallest} only {least:,}. A network that always says “{largest}” is right "
        f"in {most / len(pictures):.0%} of cases; hold accuracy against that."
    )
    yield Issue(text, (), f"Take at most {room:,} of each class", tuple(spare))


def _pictures(paths: Sequence[Path]) -> str:
    return f"{len(paths):,} pictures" if len(paths) > 1 else "1 picture"


@dataclass(frozen=True)
class Inspection:
    """`folder` is None, and `fault` says why, where nothing can be trained on the pictures as they are."""

    found: Scan
    facts: dict[Path, PictureInfo]
    folder: ImageFolder | None
    fault: str | None
    remarks: list[Issue]


def inspect(path: Path, memo: Path, val_fraction: float, seed: int) -> Generator[Progress, None, Inspection]:
    """Look at every picture; `memo` remembers them. Raises BadData or BadImage."""
    found = scan(path)
    facts = yield from infos_of([picture.path for picture in found.pictures], memo)
    folder, fault = None, None
    try:
        folder = arrange_classes(path, found)
    except BadData as error:
        fault = str(error)
    drawn = split(folder, val_fraction, seed) if folder else None
    yield Progress("Comparing the pictures", 0, 1)
    return Inspection(found, facts, folder, fault, find_issues(found.pictures, facts, drawn))
