"""What to see to before training on pictures, and what would mend it."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.data import copies
from core.data.facts import Facts
from core.data.found import Found
from core.data.split import Split

FEW = 10
"""Pictures of a class below which figures about it mean little: the least that PyTorch's own tutorials have is 60."""
IMBALANCE = 5.0
"""Times as many pictures in the largest class as in the smallest one, above which it is said."""


@dataclass(frozen=True)
class Remark:
    """`text` says what is wrong with `pictures`. `remedy` names what a click does: it leaves `leave_out` out."""

    text: str
    pictures: tuple[Path, ...]
    remedy: str
    leave_out: tuple[Path, ...]


def review(pictures: Sequence[Found], facts: Mapping[Path, Facts], drawn: Split | None) -> list[Remark]:
    """All remarks, the gravest first. `drawn` is the split as it would be trained on, if it can be drawn."""
    sound = {path: known for path, known in facts.items() if known.problem is None}
    labels = {found.path: found.label for found in pictures}
    exact, near = copies.exact(sound), copies.near(sound)
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


def _damaged(facts: Mapping[Path, Facts]) -> Iterator[Remark]:
    bad = tuple(path for path, known in facts.items() if known.problem)
    if bad:
        yield Remark(f"Damaged, or no picture at all: {_pictures(bad)}.", bad, "Leave them out", bad)


def _leaks(same: copies.Groups, drawn: Split | None) -> Iterator[Remark]:
    if drawn is None:
        return
    validating = {example.path for example in drawn.val}
    training = {example.path for example in drawn.train}
    groups = [set(group) for group in same]
    both = tuple(dict.fromkeys(p for group in groups if group & validating for p in sorted(group & training)))
    if both:
        text = f"In training and in validation: {_pictures(both)}. Accuracy would look better than it is."
        yield Remark(text, both, "Leave them out of training", both)


def _contradictions(same: copies.Groups, labels: Mapping[Path, str]) -> Iterator[Remark]:
    groups = [group for group in same if len({labels[path] for path in group}) > 1]
    torn = tuple(path for group in groups for path in group)
    if torn:
        yield Remark(f"In two classes at once: {_pictures(torn)}.", torn, "Leave them all out", torn)


def _copies(groups: copies.Groups, labels: Mapping[Path, str], what: str) -> Iterator[Remark]:
    same = [group for group in groups if len({labels[path] for path in group}) == 1]
    spare = tuple(path for group in same for path in group[1:])
    if spare:
        yield Remark(f"{what}: {_pictures(spare)}.", tuple(p for g in same for p in g), "Keep one of each", spare)


def _animated(facts: Mapping[Path, Facts]) -> Iterator[Remark]:
    moving = tuple(path for path, known in facts.items() if known.animated)
    if moving:
        text = f"Animations, or files of several pages, of which the first picture is used: {_pictures(moving)}."
        yield Remark(text, moving, "Leave them out", moving)


def _few(pictures: Sequence[Found]) -> Iterator[Remark]:
    counts = Counter(found.label for found in pictures)
    few = [label for label, count in counts.items() if count < FEW]
    if few:
        more = f" and {len(few) - 5:,} more classes" if len(few) > 5 else ""
        named = ", ".join(f"{label} ({counts[label]})" for label in few[:5]) + more
        text = f"Fewer than {FEW} pictures, too few to learn from or to measure by: {named}."
        files = tuple(found.path for found in pictures if found.label in few)
        yield Remark(text, files, f"Leave out {'these classes' if len(few) > 1 else 'this class'}", files)


def _imbalance(pictures: Sequence[Found]) -> Iterator[Remark]:
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
    yield Remark(text, (), f"Take at most {room:,} of each class", tuple(spare))


def _pictures(paths: Sequence[Path]) -> str:
    return f"{len(paths):,} pictures" if len(paths) > 1 else "1 picture"
