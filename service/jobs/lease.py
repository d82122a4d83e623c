"""What a worker does with a job: everything but the claim needs the lease that the claim gave."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.orm import Session

from service.db.base import utc_now
from service.db.rows import RUNNING, PredictionRow, PredictionState, ResultRow
from service.jobs.change import change, reload, scan_is_there

MAX_BACKOFF_S = 300.0
# Between the worker's name and the mark of one attempt.
OWNER_SEPARATOR = "#"
NO_LEASE: dict[str, Any] = {"lease_owner": None, "lease_expires_at": None}


class Lease(Enum):
    """What a worker learns when it renews."""

    HELD = "held"
    CANCEL_REQUESTED = "cancel_requested"
    LOST = "lost"


def claim(session: Session, prediction_id: str, *, owner: str, lease_s: float) -> PredictionRow | None:
    """Take a queued job that is due; of many claimants exactly one gets it.

    Parameters
    ----------
    owner : str
        Unique to this attempt, so that a worker never mistakes a later lease of its own for this one.
    lease_s : float
        Seconds, by the database's clock, until the lease runs out unless it is renewed.

    Returns
    -------
    PredictionRow or None
        None when the job is not there, runs already, is finished or not yet due (a duplicate message), or
        when its scan is deleted.
    """
    due = or_(PredictionRow.not_before.is_(None), PredictionRow.not_before <= utc_now())
    return change(
        session,
        prediction_id,
        and_(PredictionRow.state == PredictionState.QUEUED, due, scan_is_there()),
        {
            "state": PredictionState.PREPROCESSING,
            "progress": 0.0,
            "attempts": PredictionRow.attempts + 1,
            "lease_owner": owner,
            "lease_expires_at": utc_now(lease_s),
            "heartbeat_at": utc_now(),
            "started_at": utc_now(),
            "not_before": None,
        },
    )


def renew(
    session: Session,
    prediction_id: str,
    *,
    owner: str,
    lease_s: float,
    state: PredictionState,
    progress: float,
) -> Lease:
    """Extend the lease, store how far the work is, and learn whether it is still wanted."""
    row = change(
        session,
        prediction_id,
        _held_by(owner),
        {
            "state": state,
            "progress": progress,
            "lease_expires_at": utc_now(lease_s),
            "heartbeat_at": utc_now(),
        },
    )
    if row is None:
        return Lease.LOST
    return Lease.CANCEL_REQUESTED if row.cancel_requested else Lease.HELD


def finish(
    session: Session,
    prediction_id: str,
    *,
    owner: str,
    model_version_id: str,
    result: Mapping[str, Any],
) -> bool:
    """Store the result and the success together, if the lease is held, the scan there and nobody cancelled.

    Parameters
    ----------
    result : mapping
        The object of ``predict --json``.

    Returns
    -------
    bool
        False when the job is no longer this worker's, or was cancelled: nothing is written.
    """
    row = change(
        session,
        prediction_id,
        and_(_held_by(owner), PredictionRow.cancel_requested.is_(False), scan_is_there()),
        {
            "state": PredictionState.SUCCEEDED,
            "progress": 1.0,
            "model_version_id": model_version_id,
            "finished_at": utc_now(),
            "timing": result["timing_ms"],
            "error_code": None,
            "error_message": None,
            "error_details": None,
            **NO_LEASE,
        },
    )
    if row is None:
        return False
    session.add(
        ResultRow(
            prediction_id=prediction_id,
            model_version_id=model_version_id,
            adhd_probability=result["adhd_probability"],
            interval_low=result["interval"]["low"],
            interval_high=result["interval"]["high"],
            decision=result["decision"],
            result=dict(result),
        )
    )
    session.flush()
    return True


def fail(
    session: Session,
    prediction_id: str,
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
    return change(session, prediction_id, _held_by(owner), values) is not None


def postpone(
    session: Session, prediction_id: str, *, owner: str, code: str, message: str, backoff_s: float
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
    row = reload(session, prediction_id)
    if row.attempts >= row.max_attempts:
        return _leave(session, prediction_id, owner, _failure(code, message))
    wait_s = min(backoff_s * 2.0 ** max(row.attempts - 1, 0), MAX_BACKOFF_S)
    return _leave(session, prediction_id, owner, _pause(code, message, wait_s))


def wait(session: Session, prediction_id: str, *, owner: str, code: str, message: str, wait_s: float) -> bool:
    """Queue the job again for later for want of what an operator must provide; the attempt does not count.

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
    values = {**_pause(code, message, wait_s), "attempts": PredictionRow.attempts - 1}
    return _leave(session, prediction_id, owner, values)


def stop_cancelled(session: Session, prediction_id: str, *, owner: str) -> bool:
    """Close a running job whose cancellation the worker has obeyed; False when there was none."""
    values = {"state": PredictionState.CANCELLED, "finished_at": utc_now(), **NO_LEASE}
    asked = and_(_held_by(owner), PredictionRow.cancel_requested.is_(True))
    return change(session, prediction_id, asked, values) is not None


def _failure(code: str, message: str) -> dict[str, Any]:
    return {
        "state": PredictionState.FAILED,
        "finished_at": utc_now(),
        "error_code": code,
        "error_message": message,
        **NO_LEASE,
    }


def _pause(code: str, message: str, wait_s: float) -> dict[str, Any]:
    return {
        "state": PredictionState.QUEUED,
        "progress": 0.0,
        "not_before": utc_now(wait_s),
        "published_at": None,
        # Kept while it waits, so that people see why.
        "error_code": code,
        "error_message": message,
        **NO_LEASE,
    }


def _leave(session: Session, prediction_id: str, owner: str, values: Mapping[str, Any]) -> bool:
    wanted = and_(_held_by(owner), PredictionRow.cancel_requested.is_(False))
    left = change(session, prediction_id, wanted, values) is not None
    return left or stop_cancelled(session, prediction_id, owner=owner)


def _held_by(owner: str) -> ColumnElement[bool]:
    return and_(PredictionRow.lease_owner == owner, PredictionRow.state.in_(RUNNING))
