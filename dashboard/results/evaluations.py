"""The answers of runs to their validation pictures, computed by a job and kept with the run."""

from core.jobs.job import Run
from core.jobs.run_kinds import EVALUATE, RunArguments
from core.results.answers import Evaluation
from dashboard import job_progress


def evaluation_of(run: Run) -> Evaluation | None:
    """The answers of a run that is no family; None, with a bar on the page, until they are there."""
    found = job_progress.result_of(EVALUATE, RunArguments(run=run.id), True, "")
    return Evaluation.from_json(found) if found is not None else None
