"""Carry out one claimed job: its events go into the store, and on to the caller."""

import contextlib
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from functools import partial

from core import home
from core.errors import JobFailed, StoreUnavailable, TakenOver, TrackerUnavailable, explain
from core.events import (
    ArtifactSaved,
    Checkpointing,
    EpochEnded,
    Event,
    Notice,
    Progress,
    RunFinished,
    RunStarted,
    RunStopped,
    StepEnded,
    StopRequested,
)
from core.jobs import results
from core.jobs.job import ENDINGS, Desk, Job, Request, Run, Status
from core.jobs.kinds import KINDS, arguments_of
from core.jobs.results import delete_upload
from core.jobs.store import Store
from core.jobs.store.database import retry_while_unavailable
from core.messages import Message
from core.settings import settings
from core.tracking.targets import Tracker, tracking

FLUSH_EVERY = 0.25
"""Seconds between two writes of steps: the curve grows smoothly, and the disk is not asked for every step."""
FREQUENT = (StepEnded, EpochEnded, Progress, ArtifactSaved)
"""Events that may come hundreds of times a second, and so are written together; others are written at once."""
BEAT_EVERY = 5.0
"""Seconds between two heartbeats."""
LISTEN_EVERY = 0.25
"""Seconds between two looks for a wish to stop, of a job that may be stuck."""
STUCK = 1.2
"""Seconds after a wish to stop was seen, at which a light job that goes on counts as stuck."""

Record = Callable[[list[Event]], Request | None]
"""Writes what happened, and returns what somebody wants of the job."""


def drive(store: Store, job: Job, when_stuck: Callable[[], None] | None = None) -> Generator[Event, None, None]:
    """Do the work of `job`, which the caller has claimed; each event is in the store soon after.

    A wish to stop is thrown into the work. `when_stuck` is called from another thread where the work does not answer;
    the job has ended in the store by then.

    Raises JobFailed, with a sentence for the person, once the store has that sentence and the traceback; or
    StoreUnavailable, when it could not be written for PATIENCE seconds: the job can then be taken up again; or
    TakenOver, when that has happened already, because this process was not heard of for long.
    """
    begin = time.monotonic()
    end = partial(store.jobs.end, job.id, worker=job.worker)
    try:
        with heart(store, job, when_stuck):
            yield from _driven(store, job, begin)
    except (StoreUnavailable, TakenOver):
        raise
    except StopRequested:
        retry_while_unavailable(partial(end, status="stopped", seconds=time.monotonic() - begin))
        results.discard(job)
    except Exception as error:
        message, details = explain(error), traceback.format_exc()
        seconds = time.monotonic() - begin
        retry_while_unavailable(partial(end, status="failed", seconds=seconds, message=message, traceback=details))
        results.discard(job)
        raise JobFailed(message) from error


def _driven(store: Store, job: Job, begin: float) -> Iterator[Event]:
    kind = KINDS[job.kind]
    given = arguments_of(job)
    run = store.runs.of_job(job) if job.lane == "training" else None
    folder = results.folder_of(job.about, job.id)
    work = kind.work(given, Desk(job.id, run.id if run else None, folder))
    with _recording_run(store, run) if run else contextlib.nullcontext(_recording_progress(store, job)) as record:
        pending: list[Event] = []
        written = -FLUSH_EVERY
        granted: Request | None = None
        last: Event | None = None
        result = {}
        try:
            event = next(work)
            while True:
                last = event
                pending.append(event)
                yield event
                wanted = None
                if not isinstance(event, FREQUENT) or time.monotonic() - written > FLUSH_EVERY:
                    wanted = record(pending)
                    pending, written = [], time.monotonic()
                if wanted and not granted:
                    granted = wanted
                    event = work.throw(StopRequested())
                else:
                    event = next(work)
        except StopIteration as returned:
            result = returned.value
        record(pending)
    seconds = last.seconds if isinstance(last, RunFinished | RunStopped) else time.monotonic() - begin
    status: Status = ENDINGS[granted] if granted and isinstance(last, RunStopped) else "finished"
    about = kind.about(given, result)
    kept = results.keep(about, folder, result) if result else None
    end = partial(store.jobs.end, job.id, status, job.worker, seconds=seconds, result=kept, about=about)
    retry_while_unavailable(end)
    delete_upload(job)
    if about:
        results.prune(store, about)


def _recording_progress(store: Store, job: Job) -> Record:
    return lambda happened: retry_while_unavailable(partial(store.jobs.say, job.id, happened, job.worker or ""))


@contextlib.contextmanager
def _recording_run(store: Store, run: Run) -> Iterator[Record]:
    """Write the events of a run, and tell other tools of them."""
    if not any(isinstance(event, RunStarted) for _, event in store.runs.events(run.id)):
        # Files that are there all the same are another database's: a run says so before it keeps anything.
        for file in (home.resume_file(run.id), home.weights_file(run.id)):
            file.unlink(missing_ok=True)
    is_bound = run.job.home is not None

    def record(happened: list[Event]) -> Request | None:
        nonlocal is_bound
        if not is_bound and any(isinstance(event, Checkpointing) for event in happened):
            retry_while_unavailable(partial(store.jobs.bind, run.job.id, home.installation_id()))
            is_bound = True
        for event in happened:
            track(event)
        return retry_while_unavailable(partial(store.runs.append, run.id, happened, run.job.worker))

    with _tracked(store, run) as track:
        yield record


@contextlib.contextmanager
def _tracked(store: Store, run: Run) -> Iterator[Tracker]:
    """A tracker to the targets that THAW_TRACK names. What goes wrong there is a notice, and never ends the run."""
    entered = failed = False

    def say(template: str, error: Exception) -> None:
        notice = Notice(Message(template, cause=str(error)))
        retry_while_unavailable(lambda: store.runs.append(run.id, [notice]))

    def safely(event: Event) -> None:
        nonlocal failed
        if failed:
            return
        try:
            track(event)
        except Exception as error:  # Servers and disks fail, each in its own way.
            failed = True
            say("The run is no longer logged as THAW_TRACK wishes: {cause}", error)

    try:
        with tracking(settings().track, f"run-{run.id}", run.recipe) as track:
            entered = True
            yield safely
    except TrackerUnavailable as error:
        say("The run is not logged as THAW_TRACK wishes. {cause}", error)
        if not entered:
            yield lambda _event: None


@contextlib.contextmanager
def heart(store: Store, job: Job, when_stuck: Callable[[], None] | None = None) -> Iterator[None]:
    """While it lasts, the store hears that somebody is at work, however long a step may take."""
    done = threading.Event()
    every = LISTEN_EVERY if when_stuck else BEAT_EVERY

    def beat() -> None:
        asked: float | None = None
        beaten = time.monotonic()
        while not done.wait(every):
            now = time.monotonic()
            with contextlib.suppress(StoreUnavailable, TakenOver):  # The next beat may be heard.
                if now - beaten >= BEAT_EVERY:
                    store.jobs.beat(job.id, job.worker or "")
                    beaten = now
                if when_stuck and store.jobs.wish(job.id) == "stop":
                    asked = asked or now
                    if now - asked >= STUCK and store.jobs.end(job.id, "stopped", job.worker):
                        results.discard(job)
                        when_stuck()

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
