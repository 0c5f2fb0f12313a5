"""From measured seconds to a table and a verdict: pure functions from values to Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from tests.benchmarks.plan import PEERS, WORKS, Contestant, Work

Measured = Mapping[str, Any]
"""One run of one contestant: task, contestant, epochs, seconds, accuracy (validation, after the last epoch, 0…1)."""

POINT = 0.01
"""How far Thaw's accuracy may lie outside the range of the peers'."""


def report(machines: Iterable[str], runs: Sequence[Measured]) -> str:
    """The table of everything that was measured, then the machine, then what of the targets is met."""
    shown = [work for work in WORKS if any(_runs_of(work, contestant, runs) for contestant in work.thaw)]
    lines = [
        "| work | | seconds | times as fast as the fastest peer | validation accuracy | runs |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        *(row for work in shown for row in _rows(work, runs)),
        "",
        "Medians. " + " / ".join(dict.fromkeys(machines)) + ".",
        "",
        *(f"- {verdict(work, runs)}" for work in shown),
    ]
    return "\n".join(lines)


def _rows(work: Work, runs: Sequence[Measured]) -> list[str]:
    best = _fastest_peer(work, runs)
    rows = []
    for contestant in work.contestants:
        if own := _runs_of(work, contestant, runs):
            seconds = _median("seconds", own)
            ratio = f"{_number(best[1] / seconds)} ×" if best else "–"
            accuracy = f"{_median('accuracy', own):.1%}"
            cells = [_title(work, runs), contestant.title, _number(seconds), ratio, accuracy, str(len(own))]
            rows.append(f"| {' | '.join(cells)} |")
    return rows


def verdict(work: Work, runs: Sequence[Measured]) -> str:
    """Whether Thaw is as much faster as it is meant to be, and no more than a point off in accuracy."""
    best = _fastest_peer(work, runs)
    own = _runs_of(work, work.thaw[-1], runs)
    if best is None or not own:
        return f"{_title(work, runs)}: cannot be said without a run of Thaw and one of a peer."
    ratio = best[1] / _median("seconds", own)
    accuracy = _median("accuracy", own)
    theirs = [_median("accuracy", found) for peer in PEERS if (found := _runs_of(work, peer, runs))]
    close = min(theirs) - POINT <= accuracy <= max(theirs) + POINT
    return (
        f"{_title(work, runs)}: {_number(ratio)} times faster than {best[0].title}, the fastest peer; "
        f"at least {work.target:,} wanted: **{_met(ratio >= work.target)}**. "
        f"Accuracy {accuracy:.1%}, the peers' {min(theirs):.1%} to {max(theirs):.1%}; "
        f"within 1 point wanted: **{_met(close)}**."
    )


def _fastest_peer(work: Work, runs: Sequence[Measured]) -> tuple[Contestant, float] | None:
    """Which peer has the lowest median, and that median in seconds; None where no peer ran."""
    medians = [(peer, _median("seconds", found)) for peer in PEERS if (found := _runs_of(work, peer, runs))]
    return min(medians, key=lambda pair: pair[1], default=None)


def _runs_of(work: Work, contestant: Contestant, runs: Sequence[Measured]) -> list[Measured]:
    return [run for run in runs if run["task"] == work.task.name and run["contestant"] == contestant.name]


def _title(work: Work, runs: Sequence[Measured]) -> str:
    """With the number of epochs that were run, which a trial makes smaller."""
    epochs = sorted({run["epochs"] for run in runs if run["task"] == work.task.name})
    return f"{work.title}, {' or '.join(map(str, epochs))} epoch{'s' if epochs != [1] else ''}"


def _median(measure: str, runs: Sequence[Measured]) -> float:
    return median(run[measure] for run in runs)


def _number(value: float) -> str:
    """Three digits, and never in powers of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _met(reached: bool) -> str:
    return "met" if reached else "not met"
