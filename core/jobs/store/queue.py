"""The queue of jobs of all kinds: they are added, claimed by one worker each, said to be alive, and ended.

Everything raises StoreUnavailable when the database cannot be used (`core.jobs.store.database`).
"""

import datetime as dt
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from core import events
from core.errors import TakenOver
from core.events import Event, Progress
from core.jobs.job import ALLOWED, LIVE, Job, Lane, Request, Status
from core.jobs.store.database import SHARED, Database
from core.jobs.store.database import jobs as _jobs
from core.messages import Message

HELD = _jobs.c.status == "running"
WAITING = _jobs.c.status == "queued"
FRONT = (_jobs.c.place, _jobs.c.created)
"""The order of the queue."""


class Queue:
    """The jobs of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Into the queue.

    def submit(
        self,
        kind: str,
        lane: Lane,
        arguments: Mapping[str, Any],
        *,
        home: str | None = None,
        about: str | None = None,
        shared_key: str | None = None,
        worker: str | None = None,
        parent: str | None = None,
    ) -> Job:
        """Add a job at the end of the queue, or give the one that stands for it already.

        A job with a `shared_key` stands for all requests of that key while it is queued, running or finished. With a
        `worker`, the job is that worker's at once, and never in the queue.
        """
        values: dict[str, Any] = {"kind": kind, "lane": lane, "arguments": arguments, "status": "queued"}
        values |= {"home": home, "about": about, "parent": parent, "shared_key": shared_key}
        if worker:
            values |= {"status": "running", "worker": worker, "heartbeat": time.time()}
        try:
            with self._database.transaction() as connection:
                return add_job(connection, values)
        except sa.exc.IntegrityError:
            # Another request was faster. Its job may have failed or been stopped by now.
            if same := self.shared(shared_key or ""):
                return same
            return self.submit(kind, lane, arguments, home=home, about=about, shared_key=shared_key)

    def shared(self, key: str) -> Job | None:
        """The job that stands for requests of that key, if there is one."""
        query = sa.select(_jobs).where(_jobs.c.shared_key == key, SHARED)
        with self._database.transaction() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return to_job(row) if row else None

    # Out of it, and what happens in between.

    def claim(self, worker: str, lane: Lane, home: str | None = None, kinds: Iterable[str] | None = None) -> Job | None:
        """Take for `worker` the first job of the lane's queue that may run in the THAW_HOME `home`; or None.

        `kinds` narrows it. One UPDATE decides, so that of many workers exactly one gets a job.
        """
        free = sa.and_(WAITING, _jobs.c.lane == lane, of_home(home))
        if kinds is not None:
            free = sa.and_(free, _jobs.c.kind.in_(list(kinds)))
        first = sa.select(_jobs.c.id).where(free).order_by(*FRONT).limit(1)
        chosen = sa.update(_jobs).where(_jobs.c.id == first.scalar_subquery(), free)
        update = chosen.values(status="running", worker=worker, heartbeat=time.time())
        with self._database.transaction() as connection:
            row = connection.execute(update.returning(*_jobs.c)).mappings().one_or_none()
        return to_job(row) if row else None

    def take(self, worker: str, job: str) -> Job | None:
        """Take for `worker` a job that is laid aside; None where it no longer is."""
        this = sa.update(_jobs).where(_jobs.c.id == job, _jobs.c.status == "paused")
        update = this.values(status="running", worker=worker, heartbeat=time.time())
        with self._database.transaction() as connection:
            row = connection.execute(update.returning(*_jobs.c)).mappings().one_or_none()
        return to_job(row) if row else None

    def say(self, job: str, happened: Sequence[Event], worker: str) -> Request | None:
        """Write how far a job is; returns what somebody wants of it. Raises TakenOver when `worker` lost it."""
        with self._database.transaction() as connection:
            return note_progress(connection, job, happened, worker)

    def beat(self, job: str, worker: str) -> Request | None:
        """Say that `worker` is at work on the job; returns what somebody wants of it. Raises TakenOver."""
        update = sa.update(_jobs).where(_jobs.c.id == job, own(worker)).values(heartbeat=time.time())
        with self._database.transaction() as connection:
            return _request_in(connection, update, job)

    def wish(self, job: str) -> Request | None:
        """What somebody wants of a job; "stop" too of one that is no longer there."""
        query = sa.select(_jobs.c.stop_requested, _jobs.c.pause_requested).where(_jobs.c.id == job)
        with self._database.transaction() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or row.stop_requested:
            return "stop"
        return "pause" if row.pause_requested else None

    def bind(self, job: str, home: str) -> None:
        """Let only workers of the THAW_HOME `home` have the job from now on: its checkpoint is there."""
        with self._database.transaction() as connection:
            connection.execute(sa.update(_jobs).where(_jobs.c.id == job).values(home=home))

    def end(
        self,
        job: str,
        status: Status,
        worker: str | None = None,
        *,
        seconds: float | None = None,
        message: Message | None = None,
        traceback: str = "",
        result: Mapping[str, Any] | None = None,
        about: str | None = None,
    ) -> bool:
        """Close a live job, or lay it aside; whether that was done. One that has ended, or that `worker` lost, stays.

        Without `seconds` or `about`, those that are known stay. Seconds never become fewer: a run that goes on counts
        from its last checkpoint, which is older than its end.
        """
        values: dict[str, Any] = {"status": status, "message": message and message.to_json(), "result": result}
        values |= {"traceback": traceback or None, "progress": None}
        if seconds is not None:
            values["seconds"] = sa.case((_jobs.c.seconds > seconds, _jobs.c.seconds), else_=seconds)
        values |= {} if about is None else {"about": about}
        update = sa.update(_jobs).where(_jobs.c.id == job, _jobs.c.status.in_(LIVE), own(worker))
        with self._database.transaction() as connection:
            return connection.execute(update.values(**values)).rowcount == 1

    def requeue(self, job: Job) -> bool:
        """Put a job whose worker is lost at the front of the queue; False when another process was faster."""
        lost = sa.update(_jobs).where(_jobs.c.id == job.id, own(job.worker))
        first = sa.select(sa.func.min(_jobs.c.place)).scalar_subquery()
        back = lost.values(status="queued", place=sa.func.coalesce(first, 0) - 1, losses=_jobs.c.losses + 1)
        with self._database.transaction() as connection:
            return connection.execute(back.values(progress=None)).rowcount == 1

    def request_stop(self, job: str) -> None:
        """Ask the worker of a job to stop; a job that nobody works on is stopped at once. So with its children."""
        self._request(job, "stopped", ALLOWED["stop"], stop_requested=True)

    def request_pause(self, job: str) -> None:
        """Ask the worker of a job to lay it aside; a job that waits is laid aside at once. So with its children."""
        self._request(job, "paused", ALLOWED["pause"], pause_requested=True)

    def _request(self, job: str, at_once: Status, allowed: frozenset[Status], **wish: bool) -> None:
        this = sa.update(_jobs).where(sa.or_(_jobs.c.id == job, _jobs.c.parent == job))
        with self._database.transaction() as connection:
            # In this order: a job that is claimed in between is then held, and hears of the wish.
            connection.execute(this.where(_jobs.c.status.in_(allowed - {"running"})).values(status=at_once))
            connection.execute(this.where(HELD).values(**wish))

    # What readers want.

    def get(self, job: str) -> Job | None:
        """The job of that id, if there is one."""
        with self._database.transaction() as connection:
            row = connection.execute(sa.select(_jobs).where(_jobs.c.id == job)).mappings().one_or_none()
        return to_job(row) if row else None

    def live(self, home: str | None = None, kinds: Iterable[str] | None = None) -> list[Job]:
        """The jobs that run or wait and may run in the THAW_HOME `home`, the next one first."""
        query = sa.select(_jobs).where(_jobs.c.status.in_(LIVE), of_home(home) if home else sa.true())
        if kinds is not None:
            query = query.where(_jobs.c.kind.in_(list(kinds)))
        with self._database.transaction() as connection:
            return [to_job(row) for row in connection.execute(query.order_by(*FRONT)).mappings()]

    def ended(self, about: str | None) -> list[Job]:
        """The ended light jobs whose result belongs to `about`, the newest first."""
        query = sa.select(_jobs).where(_jobs.c.lane == "light", _jobs.c.status.not_in(LIVE), _jobs.c.about == about)
        with self._database.transaction() as connection:
            return [to_job(row) for row in connection.execute(query.order_by(_jobs.c.created.desc())).mappings()]

    def forget(self, jobs: Sequence[str]) -> None:
        """Delete ended jobs, and what they returned."""
        gone = sa.delete(_jobs).where(_jobs.c.id.in_(jobs), _jobs.c.status.not_in(LIVE))
        with self._database.transaction() as connection:
            connection.execute(gone)

    def forget_ended(self, seconds: float, home: str) -> None:
        """Delete light jobs of a THAW_HOME that ended without a result, and were added more than `seconds` ago."""
        nothing = sa.and_(_jobs.c.lane == "light", _jobs.c.status.in_(["failed", "stopped"]), _jobs.c.home == home)
        old = sa.delete(_jobs).where(nothing, _jobs.c.created < now() - dt.timedelta(seconds=seconds))
        with self._database.transaction() as connection:
            connection.execute(old)


def now() -> dt.datetime:
    """The time in UTC, as the tables have it."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


def add_job(connection: sa.Connection, values: Mapping[str, Any]) -> Job:
    """Insert a job; one that waits goes to the end of the queue."""
    place = last_place() if values["status"] == "queued" else None
    row = sa.insert(_jobs).values(id=uuid.uuid4().hex, created=now(), place=place, **values)
    return to_job(connection.execute(row.returning(*_jobs.c)).mappings().one())


def note_progress(connection: sa.Connection, job: str, happened: Sequence[Event], worker: str | None) -> Request | None:
    """Keep the stage that is under way; returns what somebody wants of the job. Raises TakenOver."""
    last = happened[-1] if happened else None
    progress = events.to_dict(last) if isinstance(last, Progress) else None
    return _request_in(
        connection, sa.update(_jobs).where(_jobs.c.id == job, own(worker)).values(progress=progress), job
    )


def _request_in(connection: sa.Connection, update: sa.Update, job: str) -> Request | None:
    row = connection.execute(update.returning(_jobs.c.stop_requested, _jobs.c.pause_requested)).one_or_none()
    if row is None:
        raise TakenOver("The job {job} was taken up by another process, because this one was not heard of.", job=job)
    return "stop" if row.stop_requested else "pause" if row.pause_requested else None


def own(worker: str | None) -> sa.ColumnElement[bool]:
    """SQL condition: the job is held by `worker` (always true if None)."""
    return sa.true() if worker is None else sa.and_(HELD, _jobs.c.worker == worker)


def of_home(home: str | None) -> sa.ColumnElement[bool]:
    """SQL condition: the job may run in the THAW_HOME `home`."""
    return sa.or_(_jobs.c.home.is_(None), _jobs.c.home == home)


def last_place() -> sa.ColumnElement[float]:
    """The place after all others in the queue."""
    return sa.func.coalesce(sa.select(sa.func.max(_jobs.c.place)).scalar_subquery(), 0) + 1


def to_job(row: Any) -> Job:
    """A job from a row that has all columns of jobs."""
    values = {field: row[field] for field in Job.__dataclass_fields__}
    progress = events.from_dict("progress", row["progress"]) if row["progress"] else None
    message = None if row["message"] is None else Message.parse(row["message"])
    return Job(**{**values, "progress": progress, "message": message})
