"""Runs: jobs that train, under numbers of their own, with what they have said and what people write on them.

Writers are the dashboard and the command line (queue a run, annotate it, delete it) and the worker that has claimed a
run (its events). Readers ask for what came since the last row they have seen.
"""

import datetime as dt
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any, Unpack

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from core.errors import NotNow, UnknownRun
from core.events import EpochEnded, Event, RunFinished, RunStopped
from core.figures import Score
from core.jobs.family import FAMILY, children, joined, with_families
from core.jobs.job import (
    ALLOWED,
    LIVE,
    Annotations,
    FinalTest,
    Job,
    Provenance,
    Request,
    Run,
    Status,
)
from core.jobs.store.database import Database
from core.jobs.store.database import events as _events
from core.jobs.store.database import jobs as _jobs
from core.jobs.store.database import runs as _runs
from core.jobs.store.database import steps as _steps
from core.jobs.store.event_log import read_events, read_kept, read_steps, write_events
from core.jobs.store.queue import FRONT, WAITING, Queue, add_job, last_place, note_progress, now, of_home, to_job
from core.recipe import Recipe
from core.recipe_settings import parse, to_settings

TRAIN = "train"
"""The kind of job that a run is the face of."""
_OWN = [column.label(f"run_{column.name}") for column in _runs.c]
_families = _runs.alias("families")
_born = _jobs.alias("born")
_PARENT = sa.select(_families.c.id).where(_families.c.job == _jobs.c.parent).scalar_subquery().label("run_parent")
_JOINED = sa.select(*_jobs.c, *_OWN, _PARENT).select_from(_runs.join(_jobs, _runs.c.job == _jobs.c.id))
_THERE = _runs.c.deleted.is_(None)


class Runs:
    """The runs of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._jobs = Queue(database)

    # Into the queue, and what happens then.

    def queue(self, recipe: Recipe, preset: Provenance | None = None) -> int:
        """Add a run, or the family of a recipe with repeats or folds, at the end of the queue; returns its number."""
        return self._insert(recipe, preset, {"status": "queued"})

    def start(self, recipe: Recipe, worker: str, preset: Provenance | None = None) -> Run:
        """Add a run that `worker` carries out itself; it never is in the queue, where another might take it.

        The children of a family are laid aside, from where the worker takes one after the other (`Queue.take`).
        """
        at_once = {"status": "running", "worker": worker, "heartbeat": time.time()}
        return self.get(self._insert(recipe, preset, {"status": "paused"} if children(recipe) else at_once))

    def _insert(self, recipe: Recipe, preset: Provenance | None, state: dict[str, Any]) -> int:
        born = children(recipe)
        trains = {"kind": TRAIN, "lane": "training", **state}
        unites = {"kind": FAMILY, "lane": "none", "status": "finished"}
        with self._database.transaction() as connection:
            number, job = _add(connection, recipe, preset, unites if born else trains)
            for child in born:
                _add(connection, child, preset, {**trains, "parent": job})
            return number

    def reserve(self, kind: str, home: str) -> int:
        """Add a run that was trained elsewhere; returns its number. It counts as deleted until `undelete`."""
        nothing = Recipe(data="pictures")
        values = {"kind": kind, "lane": "training", "status": "finished", "home": home}
        with self._database.transaction() as connection:
            number, _job = _add(connection, nothing, None, values)
            connection.execute(sa.update(_runs).where(_runs.c.id == number).values(deleted=now()))
        return number

    def fill(self, run: int, recipe: Recipe, said: Sequence[Event]) -> None:
        """Give such a run its recipe and its history."""
        spent = [event.seconds for event in said if isinstance(event, RunFinished | RunStopped)]
        with self._database.transaction() as connection:
            this = sa.update(_jobs).where(_jobs.c.id == _job_of(connection, run))
            connection.execute(this.values(arguments=to_settings(recipe), seconds=spent[-1] if spent else None))
            write_events(connection, run, said)

    def append(self, run: int, happened: Sequence[Event], worker: str | None = None) -> Request | None:
        """Write down what happened, in one transaction; returns what somebody wants of the run by now.

        Raises TakenOver, and writes nothing, when `worker` is given and no longer has the run.
        """
        with self._database.transaction() as connection:
            wanted = note_progress(connection, _job_of(connection, run), happened, worker)
            write_events(connection, run, happened)
        return wanted

    # What people ask for.

    def request_stop(self, run: int) -> None:
        """Ask the worker of a run to stop; a run that nobody works on is stopped at once. Raises UnknownRun."""
        self._jobs.request_stop(self._job(run))

    def request_pause(self, run: int) -> None:
        """Ask the worker of a run to lay it aside; a run that waits is laid aside at once. Raises UnknownRun."""
        self._jobs.request_pause(self._job(run))

    def _job(self, run: int) -> str:
        with self._database.transaction() as connection:
            return _job_of(connection, run)

    def resume(self, run: int, epochs: int | None = None) -> None:
        """Put a run that is not live at the end of the queue again, to go on from where it was; so those of a family.

        A finished one goes on with more `epochs` in all. Raises UnknownRun, or NotNow when there is nothing to go on.
        """
        known = self.get(run)
        epochs = known.recipe.epochs if epochs is None else epochs
        if known.is_opened:
            raise NotNow("Run {run} came out of a bundle: it can be looked at, not trained further.", run=run)
        if known.status not in ALLOWED["resume"]:
            raise NotNow("Run {run} is {status}; there is nothing to resume.", run=run, status=known.status)
        if epochs < known.recipe.epochs or (known.status == "finished" and epochs == known.recipe.epochs):
            raise NotNow(
                "Run {run} has {epochs} epochs and is {status}; to go on, give it more of them.",
                run=run,
                epochs=known.recipe.epochs,
                status=known.status,
            )
        again = {"status": "queued", "place": last_place(), "message": None, "traceback": None, "losses": 0}
        again |= {"stop_requested": False, "pause_requested": False}
        with self._database.transaction() as connection:
            if known.is_family:
                _prolong(connection, known, epochs, {})
            for one in known.members:
                if epochs > one.recipe.epochs or (epochs == one.recipe.epochs and one.status != "finished"):
                    _prolong(connection, one, epochs, again)

    def waiting(self, home: str | None = None) -> list[int]:
        """The numbers of the queued runs, the next one first; with a `home`, those that its workers may have."""
        mine = sa.true() if home is None else of_home(home)
        query = sa.select(_runs.c.id).join(_jobs, _runs.c.job == _jobs.c.id).where(WAITING, _THERE, mine)
        with self._database.transaction() as connection:
            return list(connection.execute(query.order_by(*FRONT)).scalars())

    def move(self, run: int, to: int) -> None:
        """Give a queued run the place `to` (from 0) in the queue, or those of a family the places from there on.

        Those that no longer wait stay as they are.
        """
        these = [one.id for one in self.get(run).members]
        order = [other for other in self.waiting() if other not in these]
        order[to:to] = these
        with self._database.transaction() as connection:
            for place, number in enumerate(order):
                job = sa.select(_runs.c.job).where(_runs.c.id == number).scalar_subquery()
                connection.execute(sa.update(_jobs).where(_jobs.c.id == job, WAITING).values(place=place))

    def annotate(self, run: int, **annotations: Unpack[Annotations]) -> None:
        """Change the annotations that are given; those of a family, for its children too."""
        values = {key: list(value) if isinstance(value, tuple) else value for key, value in annotations.items()}
        with self._database.transaction() as connection:
            connection.execute(sa.update(_runs).where(_with_children([run])).values(**values))

    def delete(self, runs: Sequence[int]) -> None:
        """Take runs that are not live out of all lists; `undelete` brings them back, `purge` forgets them.

        A family goes with all its children, or not at all.
        """
        growing = sa.select(_born.c.parent).where(_born.c.status.in_(LIVE), _born.c.parent.is_not(None))
        ended = sa.select(_jobs.c.id).where(_jobs.c.status.not_in(LIVE), _jobs.c.id.not_in(growing))
        query = sa.select(_runs.c.id).where(_runs.c.id.in_(runs), _runs.c.job.in_(ended))
        with self._database.transaction() as connection:
            these = connection.execute(query).scalars().all()
            connection.execute(sa.update(_runs).where(_with_children(these)).values(deleted=now()))

    def undelete(self, runs: Sequence[int]) -> None:
        """Bring deleted runs back, a family with all its children."""
        with self._database.transaction() as connection:
            connection.execute(sa.update(_runs).where(_with_children(runs)).values(deleted=None))

    def purge(self, seconds: float, home: str | None = None) -> list[int]:
        """Forget what was deleted more than so many seconds ago, but for runs that are bound to another THAW_HOME.

        A family is forgotten after the last of its children, at the next call. Returns the numbers of the forgotten
        runs, for their files to be deleted.
        """
        before = now() - dt.timedelta(seconds=seconds)
        query = sa.select(_runs.c.id, _runs.c.job).join(_jobs, _runs.c.job == _jobs.c.id)
        query = query.where(~sa.exists().where(_born.c.parent == _jobs.c.id))
        with self._database.transaction() as connection:
            gone = connection.execute(query.where(_runs.c.deleted < before, of_home(home))).all()
            numbers, jobs = [row.id for row in gone], [row.job for row in gone]
            for column, keys in ((_steps.c.run, numbers), (_events.c.run, numbers), (_runs.c.id, numbers)):
                connection.execute(sa.delete(column.table).where(column.in_(keys)))
            results = _jobs.c.about.in_([f"run:{number}" for number in numbers])
            connection.execute(sa.delete(_jobs).where(sa.or_(_jobs.c.id.in_(jobs), results)))
        return numbers

    # What readers want.

    def get(self, run: int) -> Run:
        """The run of that number. Raises UnknownRun."""
        found, born = None, []
        if run < 2**31:  # Beyond it, a number from an address bar fits into no database's integer.
            with self._database.transaction() as connection:
                row = connection.execute(_JOINED.where(_runs.c.id == run, _THERE)).mappings().one_or_none()
                found = _run(row) if row else None
                if found and found.is_family:
                    query = _JOINED.where(_jobs.c.parent == found.job.id, _THERE).order_by(_runs.c.id)
                    born = [_run(row) for row in connection.execute(query).mappings()]
        if found is None:
            raise UnknownRun("There is no run {run}; the list of runs shows which there are.", run=run)
        return joined(found, born)

    def of_job(self, job: Job) -> Run:
        """The run that a job is of. Raises UnknownRun when it was deleted meanwhile."""
        with self._database.transaction() as connection:
            row = connection.execute(_JOINED.where(_runs.c.job == job.id)).mappings().one_or_none()
        if row is None:
            raise UnknownRun("There is no run of this job any more.")
        return _run(row)

    def all(self, status: Status | None = None) -> list[Run]:
        """All runs, or those of one status, the newest first; the children of a family beneath it in their order."""
        query = _JOINED.where(_THERE)
        if status:
            of_family = sa.or_(_jobs.c.kind == FAMILY, _jobs.c.parent.is_not(None))
            query = query.where(sa.or_(_jobs.c.status == status, of_family))
        with self._database.transaction() as connection:
            runs = with_families([_run(row) for row in connection.execute(query).mappings()])
        return [run for run in runs if status in (None, run.status)]

    def events(self, run: int, after: int = 0) -> list[tuple[int, Event]]:
        """Row number and event of all but steps and progress, those with a row number above `after`."""
        with self._database.transaction() as connection:
            return read_events(connection, run, after)

    def kept(self, run: int) -> tuple[tuple[str, ...], EpochEnded] | None:
        """The names of a run's classes, and the epoch whose weights are kept; None before the first has ended."""
        with self._database.transaction() as connection:
            return read_kept(connection, run)

    def steps(self, run: int, after: int = 0) -> NDArray[np.float64]:
        """The steps of a run in order, those numbered above `after`: an array (steps, columns of STEP_COLUMNS).

        Numbers and not events, because a run may have a hundred thousand steps.
        """
        with self._database.transaction() as connection:
            return read_steps(connection, run, after)


def _job_of(connection: sa.Connection, run: int) -> str:
    job = connection.execute(sa.select(_runs.c.job).where(_runs.c.id == run)).scalar()
    if job is None:
        raise UnknownRun("There is no run {run}; the list of runs shows which there are.", run=run)
    return str(job)


def _add(
    connection: sa.Connection, recipe: Recipe, preset: Provenance | None, values: dict[str, Any]
) -> tuple[int, str]:
    """Insert a job and the run that is its face; returns the run's number and the job's id."""
    job = add_job(connection, {**values, "arguments": to_settings(recipe)})
    row = sa.insert(_runs).values(job=job.id, preset=preset and asdict(preset))
    return int(connection.execute(row.returning(_runs.c.id)).scalar_one()), job.id


def _prolong(connection: sa.Connection, run: Run, epochs: int, values: dict[str, Any]) -> None:
    """Give a run so many epochs in all, and its job these values, unless it is in another state by now."""
    recipe = parse(to_settings(run.recipe) | {"epochs": epochs})
    as_known = sa.true() if run.is_family else _jobs.c.status == run.status
    this = sa.update(_jobs).where(_jobs.c.id == run.job.id, as_known)
    connection.execute(this.values(arguments=to_settings(recipe), **values))
    if run.preset and epochs != run.recipe.epochs:
        changed = Provenance(run.preset.name, tuple(dict.fromkeys((*run.preset.changed, "epochs"))))
        connection.execute(sa.update(_runs).where(_runs.c.id == run.id).values(preset=asdict(changed)))


def _with_children(runs: Collection[int]) -> sa.ColumnElement[bool]:
    """SQL condition: a run is one of these, or a child of one of these."""
    these = sa.select(_families.c.job).where(_families.c.id.in_(runs))
    return sa.or_(_runs.c.id.in_(runs), _runs.c.job.in_(sa.select(_jobs.c.id).where(_jobs.c.parent.in_(these))))


def _run(row: Any) -> Run:
    own = {name: row[f"run_{name}"] for name in ("id", "parent", "kept_epoch", "balanced_accuracy", "zeros")}
    written = {name: row[f"run_{name}"] for name in ("name", "note", "starred")}
    test, preset = row["run_test"], row["run_preset"]
    return Run(
        **own,
        **written,
        job=to_job(row),
        recipe=parse(row["arguments"]),
        val=Score(row["run_val_right"], row["run_val_images"]) if row["run_val_images"] else None,
        test=test and FinalTest(**test | {"score": Score(**test["score"])}),
        preset=preset and Provenance(preset["name"], tuple(preset["changed"])),
        tags=tuple(row["run_tags"]),
    )
