"""What people ask of a job of any kind: to be stopped, to be tried again, to say how long it will wait."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from service.correlation import origin
from service.db.base import utc_now
from service.db.job import JobRow, JobState
from service.db.restricted import COUNTS_EVERY_ORGANISATION
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


def queue_position(session: Session, row: JobRow) -> int | None:
    """Return the place in its kind's queue, 1 for the next one to run; None when it does not wait.

    All organisations wait in one line: a place among one's own would promise what nobody keeps. It tells how
    many others wait, and nothing about whom.
    """
    if row.state != JobState.QUEUED:
        return None
    kind = type(row)
    earlier = or_(
        kind.queued_at < row.queued_at,
        and_(kind.queued_at == row.queued_at, kind.id < row.id),
    )
    ahead = select(func.count(kind.id)).where(kind.state == JobState.QUEUED, earlier)
    everybody = {COUNTS_EVERY_ORGANISATION: True}
    return session.execute(ahead, execution_options=everybody).scalar_one() + 1


def queue_positions(session: Session, rows: Sequence[Job]) -> dict[str, int]:
    """Return the places of those rows of one kind that wait, by id: :func:`queue_position` in one query."""
    waiting = [row for row in rows if row.state == JobState.QUEUED]
    if not waiting:
        return {}
    kind = type(waiting[0])
    place = func.row_number().over(order_by=(kind.queued_at, kind.id)).label("place")
    queue = select(kind.id, place).where(kind.state == JobState.QUEUED).subquery()
    asked = select(queue.c.id, queue.c.place).where(queue.c.id.in_([row.id for row in waiting]))
    everybody = {COUNTS_EVERY_ORGANISATION: True}
    return {id_: int(at) for id_, at in session.execute(asked, execution_options=everybody)}


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
    session: Session, kind: type[Job], job_id: str, *, also: JobState | None = None
) -> Job | None:
    """Queue a failed or cancelled job again, with all its attempts.

    Parameters
    ----------
    also : JobState, optional
        Another state to begin again from.

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
        {**kind.UNSTARTED, **FRESH, **origin()},
    )
