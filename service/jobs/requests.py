"""What people ask of a job of any kind: to be stopped, to be tried again."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import and_
from sqlalchemy.orm import Session

from service.correlation import origin
from service.db.base import utc_now
from service.db.job import JobState
from service.jobs.change import Job, change

# What an earlier round left is forgotten.
FRESH: dict[str, Any] = {
    "state": JobState.QUEUED,
    "attempts": 0,
    "cancel_requested": False,
    "error_code": None,
    "error_message": None,
    "error_details": None,
    "error_reference": None,
    "queued_at": utc_now(),
    "not_before": None,
    "published_at": None,
    "started_at": None,
    "finished_at": None,
}


def cancel(session: Session, kind: type[Job], job_id: str) -> Job | None:
    """Cancel: at once when queued, by the worker within its next heartbeat when running.

    Returns
    -------
    JobRow or None
        None when nothing had to change: the job is over, or was asked to stop before.
    """
    return change(
        session,
        kind,
        job_id,
        kind.state == JobState.QUEUED,
        {"state": JobState.CANCELLED, "cancel_requested": True, "finished_at": utc_now()},
    ) or change(
        session,
        kind,
        job_id,
        and_(kind.state.in_(kind.RUNNING), kind.cancel_requested.is_(False)),
        {"cancel_requested": True},
    )


def queue_again(
    session: Session,
    kind: type[Job],
    job_id: str,
    *,
    also: JobState | None = None,
    values: Mapping[str, Any] | None = None,
) -> Job | None:
    """Queue a failed or cancelled job again, with all its attempts.

    Parameters
    ----------
    also : JobState, optional
        Another state to begin again from.
    values : mapping, optional
        What else of the kind's own columns begins anew.

    Returns
    -------
    JobRow or None
        None when it is in another state, or not wanted any more.
    """
    states = [JobState.FAILED, JobState.CANCELLED, *([also] if also else [])]
    return change(
        session,
        kind,
        job_id,
        and_(kind.state.in_(states), kind.still_wanted()),
        {**kind.UNSTARTED, **FRESH, **origin(), **(values or {})},
    )
