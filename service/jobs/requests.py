"""What people ask of a job: to be queued, stopped or tried again."""

from typing import Any, ClassVar

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from service.audit import record
from service.db.base import utc_now
from service.db.rows import RUNNING, PredictionRow, PredictionState, ScanRow
from service.errors import ServiceError
from service.jobs.change import PredictionNotFoundError, change, reload, scan_is_there


class PredictionFinishedError(ServiceError):
    """Too late to cancel: the outcome stands."""

    code: ClassVar[str] = "prediction_finished"

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(f"expected a prediction that is queued or running, found one that has {state}")


class PredictionNotRetryableError(ServiceError):
    """Only what failed or was cancelled can be tried again."""

    code: ClassVar[str] = "prediction_not_retryable"

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(f"expected a failed or cancelled prediction, found one that is {state}")


def enqueue(
    session: Session, *, scan_id: str, requested_by: str | None = None, max_attempts: int = 3
) -> PredictionRow:
    """Add a queued prediction; once the caller has committed it, it will run even if no message gets out.

    Parameters
    ----------
    scan_id : str
        The scan to predict.
    requested_by : str, optional
        Id of the user who asked.
    max_attempts : int
        How often it may be started before it fails as ``worker_lost``.
    """
    row = PredictionRow(scan_id=scan_id, requested_by=requested_by, max_attempts=max_attempts)
    session.add(row)
    session.flush()
    return row


def queue_position(session: Session, row: PredictionRow) -> int | None:
    """Return the place in the queue, 1 for the next one to run; None when it does not wait."""
    if row.state != PredictionState.QUEUED:
        return None
    earlier = or_(
        PredictionRow.queued_at < row.queued_at,
        and_(PredictionRow.queued_at == row.queued_at, PredictionRow.id < row.id),
    )
    ahead = select(func.count(PredictionRow.id)).where(PredictionRow.state == PredictionState.QUEUED, earlier)
    return session.execute(ahead).scalar_one() + 1


def request_cancel(session: Session, prediction_id: str, *, actor: str) -> PredictionRow:
    """Cancel: at once when queued, by the worker within its next heartbeat when running.

    Asking again changes nothing.

    Raises
    ------
    PredictionNotFoundError
        If there is no such prediction.
    PredictionFinishedError
        If it has succeeded or failed.
    """
    row = change(
        session,
        prediction_id,
        PredictionRow.state == PredictionState.QUEUED,
        {"state": PredictionState.CANCELLED, "cancel_requested": True, "finished_at": utc_now()},
    ) or change(
        session,
        prediction_id,
        and_(PredictionRow.state.in_(RUNNING), PredictionRow.cancel_requested.is_(False)),
        {"cancel_requested": True},
    )
    if row is not None:
        record(
            session,
            actor=actor,
            action="prediction.cancel",
            subject_kind="prediction",
            subject_id=row.id,
        )
        return row
    row = reload(session, prediction_id)
    if row.state in {PredictionState.SUCCEEDED, PredictionState.FAILED}:
        raise PredictionFinishedError(row.state.value)
    return row


def retry(session: Session, prediction_id: str, *, actor: str) -> PredictionRow:
    """Queue a failed or cancelled prediction again, with all its attempts.

    Raises
    ------
    PredictionNotFoundError
        If there is no such prediction, or its scan is deleted.
    PredictionNotRetryableError
        If it is queued, running or has succeeded.
    """
    fresh: dict[str, Any] = {
        "state": PredictionState.QUEUED,
        "progress": 0.0,
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
        "timing": None,
    }
    again = (PredictionState.FAILED, PredictionState.CANCELLED)
    row = change(session, prediction_id, and_(PredictionRow.state.in_(again), scan_is_there()), fresh)
    if row is None:
        found = reload(session, prediction_id)
        if session.get_one(ScanRow, found.scan_id, populate_existing=True).deleted_at is not None:
            raise PredictionNotFoundError(prediction_id)
        raise PredictionNotRetryableError(found.state.value)
    record(
        session, actor=actor, action="prediction.retry", subject_kind="prediction", subject_id=prediction_id
    )
    return row
