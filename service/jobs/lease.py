"""What a worker does with a job: everything but the claim needs the lease that the claim gave."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.orm import Session

from service.db.base import utc_now
from service.db.job import JobRow, JobState
from service.jobs.change import Job, change
from service.jobs.training_log import note_failure

MAX_BACKOFF_S = 300.0
# Between the worker's name and the mark of one attempt.
OWNER_SEPARATOR = "#"
NO_LEASE: dict[str, Any] = {"lease_owner": None, "lease_expires_at": None}


class Lease(Enum):
    """What a worker learns when it renews."""

    HELD = "held"
    CANCEL_REQUESTED = "cancel_requested"
    LOST = "lost"


def claim(
    session: Session,
    kind: type[Job],
    job_id: str,
    *,
    owner: str,
    lease_s: float,
    lane: str | None = None,
) -> Job | None:
    """Take a queued job that is due; of many claimants exactly one gets it.

    Parameters
    ----------
    kind : type of JobRow
    owner : str
        Unique to this attempt, so that a worker never mistakes a later lease of its own for this one.
    lease_s : float
        Seconds, by the database's clock, until the lease runs out unless it is renewed.
    lane : str, optional
        Of a kind whose jobs wait in several queues, the one that the worker takes from.

    Returns
    -------
    JobRow or None
        None when the job is not there, waits in another queue, runs already, is finished or not yet due (a
        duplicate message), or is not wanted any more (``JobRow.still_wanted``).
    """
    due = or_(kind.not_before.is_(None), kind.not_before <= utc_now())
    return change(
        session,
        kind,
        job_id,
        and_(kind.state == JobState.QUEUED, due, kind.in_lane(lane), kind.still_wanted()),
        {
            "state": kind.RUNNING[0],
            "attempts": kind.attempts + 1,
            "lease_owner": owner,
            "lease_expires_at": utc_now(lease_s),
            "heartbeat_at": utc_now(),
            "started_at": kind.started_when_claimed(),
            "not_before": None,
        },
    )


def renew(
    session: Session,
    kind: type[JobRow],
    job_id: str,
    *,
    owner: str,
    lease_s: float,
    standing: Mapping[str, Any],
) -> Lease:
    """Extend the lease, store how far the work is, and learn whether it is still wanted.

    Parameters
    ----------
    standing : mapping
        The columns of the row that tell how far it is: ``progress``, and what else the kind has.
    """
    values = {**standing, "lease_expires_at": utc_now(lease_s), "heartbeat_at": utc_now()}
    row = change(session, kind, job_id, held_by(kind, owner), values)
    if row is None:
        return Lease.LOST
    return Lease.CANCEL_REQUESTED if row.cancel_requested else Lease.HELD


def succeed(
    session: Session, kind: type[JobRow], job_id: str, *, owner: str, values: Mapping[str, Any]
) -> bool:
    """End the job well, if the lease is held, the job still wanted and nobody cancelled.

    Parameters
    ----------
    values : mapping
        What the row keeps of the outcome.

    Returns
    -------
    bool
        False when the job is no longer this worker's, or was cancelled: nothing is written.
    """
    wanted = and_(held_by(kind, owner), kind.cancel_requested.is_(False), kind.still_wanted())
    return change(session, kind, job_id, wanted, {**success(values), **NO_LEASE}) is not None


def hand_on(
    session: Session, kind: type[JobRow], job_id: str, *, owner: str, values: Mapping[str, Any]
) -> bool:
    """Let go of a job that goes on without a worker, in a state that is neither queued nor the end.

    Parameters
    ----------
    values : mapping
        The state, and what the row keeps.

    Returns
    -------
    bool
        As :func:`succeed`.
    """
    wanted = and_(held_by(kind, owner), kind.cancel_requested.is_(False), kind.still_wanted())
    return change(session, kind, job_id, wanted, {**values, **NO_LEASE}) is not None


def success(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a job that has succeeded; what was wrong on the way is forgotten."""
    return {
        "state": JobState.SUCCEEDED,
        "progress": 1.0,
        "finished_at": utc_now(),
        "error_code": None,
        "error_message": None,
        "error_details": None,
        **values,
    }


def fail(
    session: Session,
    kind: type[JobRow],
    job_id: str,
    *,
    owner: str,
    code: str,
    message: str,
    details: Mapping[str, Any] | None = None,
    reference: str | None = None,
) -> bool:
    """End the job with an error that trying again would not change; False when the lease is lost."""
    values = {
        **_failure(code, message),
        "error_details": dict(details) if details else None,
        "error_reference": reference,
    }
    failed = change(session, kind, job_id, held_by(kind, owner), values)
    if failed is not None:
        note_failure(session, failed)
    return failed is not None


def postpone(
    session: Session,
    kind: type[JobRow],
    job_id: str,
    *,
    owner: str,
    code: str,
    message: str,
    backoff_s: float,
) -> bool:
    """Queue the job again for later after an error that may pass; fail it when its attempts are used up.

    A job that somebody asked to cancel is closed as cancelled.

    Parameters
    ----------
    backoff_s : float
        The wait after the first attempt, in seconds; it doubles with each, up to five minutes.

    Returns
    -------
    bool
        False when the lease is lost: nothing is written.
    """
    row = session.get(kind, job_id, populate_existing=True)
    if row is None:
        return False
    if row.attempts >= row.max_attempts:
        left = _leave(session, kind, job_id, owner, _failure(code, message))
        if left and row.state == JobState.FAILED:
            note_failure(session, row)
        return left
    wait_s = min(backoff_s * 2.0 ** max(row.attempts - 1, 0), MAX_BACKOFF_S)
    return _leave(session, kind, job_id, owner, _pause(kind, code, message, wait_s))


def wait(
    session: Session,
    kind: type[JobRow],
    job_id: str,
    *,
    owner: str,
    code: str,
    message: str,
    wait_s: float,
) -> bool:
    """Queue the job again for later for want of what others must provide; the attempt does not count.

    A job that somebody asked to cancel is closed as cancelled.

    Parameters
    ----------
    wait_s : float
        Seconds until the job may be tried again; the same each time, however long it takes.

    Returns
    -------
    bool
        False when the lease is lost: nothing is written.
    """
    values = {**_pause(kind, code, message, wait_s), "attempts": kind.attempts - 1}
    return _leave(session, kind, job_id, owner, values)


def stop_cancelled(session: Session, kind: type[JobRow], job_id: str, *, owner: str) -> bool:
    """Close a running job whose cancellation the worker has obeyed; False when there was none."""
    values = {"state": JobState.CANCELLED, "finished_at": utc_now(), **NO_LEASE}
    asked = and_(held_by(kind, owner), kind.cancel_requested.is_(True))
    return change(session, kind, job_id, asked, values) is not None


def _failure(code: str, message: str) -> dict[str, Any]:
    return {
        "state": JobState.FAILED,
        "finished_at": utc_now(),
        "error_code": code,
        "error_message": message,
        **NO_LEASE,
    }


def _pause(kind: type[JobRow], code: str, message: str, wait_s: float) -> dict[str, Any]:
    return {
        **kind.UNSTARTED,
        "state": JobState.QUEUED,
        "not_before": utc_now(wait_s),
        "published_at": None,
        # Kept while it waits, so that people see why.
        "error_code": code,
        "error_message": message,
        **NO_LEASE,
    }


def _leave(session: Session, kind: type[JobRow], job_id: str, owner: str, values: Mapping[str, Any]) -> bool:
    wanted = and_(held_by(kind, owner), kind.cancel_requested.is_(False))
    left = change(session, kind, job_id, wanted, values) is not None
    return left or stop_cancelled(session, kind, job_id, owner=owner)


def held_by(kind: type[JobRow], owner: str) -> ColumnElement[bool]:
    """Return the condition that a job is being worked on under this lease."""
    return and_(kind.lease_owner == owner, kind.state.in_(kind.RUNNING))
