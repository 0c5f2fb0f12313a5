"""Families: a recipe with repeats or folds is a job of its own whose children, ordinary runs, do all the work.

The job of a family has a run's number, and so an address, a name and a place in the list. It has no lane: nobody works
on it, and what the store says of its state never changes. What people see of it is read off its children, here.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from core.backbones import pretrained
from core.errors import UnknownRun
from core.figures import Score, pooled
from core.jobs.job import LIVE, Job, Run, Status
from core.messages import Message
from core.recipe import Recipe

FAMILY = "family"
"""The kind of job that a family is the face of."""
SEEDS = 2**53
"""How many seeds there are; after the last one comes 0."""


def children(recipe: Recipe) -> tuple[Recipe, ...]:
    """The recipes of a family, fold by fold, and in each fold repeat by repeat; none for the recipe of a single run.

    The first repeat is the run that the recipe would be without repeats. Each further one has the next seed of weights
    and of order, and the same split.
    """
    deals = recipe.folds > 1 and recipe.fold is None
    folds = range(1, recipe.folds + 1) if deals else (recipe.fold,)
    if len(folds) * recipe.repeats == 1:
        return ()
    return tuple(_child(recipe, fold, repeat) for fold in folds for repeat in range(recipe.repeats))


def _child(recipe: Recipe, fold: int | None, repeat: int) -> Recipe:
    seeds = recipe.seeds
    drawn = {"init_seed": (seeds.init + repeat) % SEEDS, "order_seed": (seeds.order + repeat) % SEEDS}
    return recipe.model_copy(update={"repeats": 1, "fold": fold, **(drawn if repeat else {})})


def with_families(runs: Sequence[Run]) -> list[Run]:
    """The runs with their families made whole: the newest first, the children of a family beneath it in their order."""
    beneath: dict[int | None, list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.id):
        beneath[run.parent].append(run)
    there = {run.id for run in runs}
    tops = [run for run in runs if run.parent not in there]
    tops.sort(key=lambda run: -run.id)
    return [one for top in tops for one in (joined(top, beneath[top.id]), *beneath[top.id])]


def joined(family: Run, born: Sequence[Run]) -> Run:
    """A family with its children, and in their state; a run that is no family as it is."""
    if not family.is_family:
        return family
    at_work = [child.job for child in born if child.status == "running"]
    spent = [child.job.seconds for child in born if child.job.seconds is not None]
    failed = next((child for child in born if child.status == "failed"), None)
    job = replace(
        family.job,
        status=status_of([child.status for child in born]),
        seconds=sum(spent) if spent else None,
        stop_requested=any(job.stop_requested for job in at_work),
        pause_requested=any(job.pause_requested for job in at_work),
        message=_failure(failed.id, failed.job) if failed else None,
    )
    return replace(family, job=job, children=tuple(born))


def _failure(number: int, job: Job) -> Message:
    return Message("Run {run} failed. {why}", run=number, why=job.message or "")


def status_of(statuses: Sequence[Status]) -> Status:
    """The state of a family: at work while one is, or once one was and others wait; else the first of these that fits.

    One without children is stopped.
    """
    if "running" in statuses or ("queued" in statuses and set(statuses) - LIVE - {"paused"}):
        return "running"
    order: tuple[Status, ...] = ("queued", "paused", "failed", "stopped", "finished")
    return next((status for status in order if status in statuses), "stopped")


def from_anywhere(weights: str, known: Callable[[int], Run]) -> tuple[str, Message | None]:
    """What a recipe starts from as every process finds it: a file by its whole path, of a family its first child.

    The sentence says which child that is. What is not there stays as it is, for the recipe's check to find.
    """
    number = pretrained.own_run(weights)
    if number is None:
        return pretrained.whole_path(weights), None
    with suppress(UnknownRun):
        if (first := known(number).first.id) != number:
            template = "Run {family} is a family of runs; training starts from its first, run {first}."
            return f"run:{first}", Message(template, family=number, first=first)
    return weights, None


def each_picture_once(family: Run) -> Score | None:
    """The counts of all folds as one, once they are there: each picture validates in one of them.

    None for repeats, which look at the same pictures again, and must not be pooled.
    """
    spread = family.spread
    is_whole = len(family.children) == family.recipe.folds and family.recipe.repeats == 1
    return pooled(spread) if spread and is_whole and len(spread.scores) == len(family.children) else None


def counted(run: Run) -> Score | None:
    """The counts that a run, or a family of folds, has in validation."""
    return run.val or each_picture_once(run)


def accuracy(run: Run) -> float | None:
    """That of a run in validation, 0…1; of a family, the mean."""
    if run.val:
        return run.val.share
    return run.spread.mean if run.spread else None


def in_words(run: Run) -> Message | None:
    """The count of a run, such as "34 of 39"; mean and range of a family."""
    if run.val:
        return run.val.in_words()
    return run.spread.in_words() if run.spread else None


def figures(family: Run) -> Message | None:
    """Mean and range of a family in validation, with the counts behind them; None before the first are known."""
    if family.spread is None:
        return None
    once = each_picture_once(family)
    if once is None:
        return family.spread.in_full()
    return Message("{spread}; each picture once: {score}", spread=family.spread.in_full(), score=once.in_full())


def family_json(family: Run) -> dict[str, Any]:
    """The numbers of a family's children, and their figures in validation as far as they are known."""
    once = each_picture_once(family)
    return {
        "children": [child.id for child in family.children],
        "spread": family.spread and family.spread.to_json(),
        "each_picture_once": once and once.to_json(),
    }
