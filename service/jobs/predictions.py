"""What only predictions have: a scan that can be deleted, a result row, and refusals of their own."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sqlalchemy.orm import Session

from service.audit import record
from service.db.rows import (
    ExplanationRow,
    Lane,
    PredictionRow,
    PredictionState,
    ResultRow,
    ScanMeasurementRow,
    ScanRow,
)
from service.drift.variables import measured_of
from service.errors import ServiceError
from service.identity.actor import Actor
from service.jobs.lease import succeed
from service.jobs.requests import cancel, queue_again
from service.jobs.zips import ScanGivenUpError
from service.methods import is_explainable


class PredictionNotFoundError(ServiceError):
    """No prediction has this id."""

    code: ClassVar[str] = "prediction_not_found"

    def __init__(self, prediction_id: str) -> None:
        self.prediction_id = prediction_id
        super().__init__("expected the id of a prediction, found none with this one")


class PredictionFinishedError(ServiceError):
    """Too late to cancel: the outcome stands."""

    code: ClassVar[str] = "prediction_finished"

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(f"expected a prediction that is queued or running, found one that has {state}")


class PredictionNotFinishedError(ServiceError):
    """There is no answer yet, or there never will be one."""

    code: ClassVar[str] = "prediction_not_finished"

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(f"expected a prediction that has succeeded, found one that is {state}")


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
        The scan to predict; the prediction belongs to its organisation.
    requested_by : str, optional
        Id of the user who asked.
    max_attempts : int
        How often it may be started before it fails as ``worker_lost``.
    """
    row = PredictionRow(
        organisation_id=session.get_one(ScanRow, scan_id).organisation_id,
        scan_id=scan_id,
        requested_by=requested_by,
        max_attempts=max_attempts,
    )
    session.add(row)
    session.flush()
    return row


def finish(
    session: Session,
    prediction_id: str,
    *,
    owner: str,
    model_version_id: str,
    result: Mapping[str, Any],
    explain: bool = False,
    embedding: Sequence[float] | None = None,
) -> bool:
    """Store the result and the success together, if the lease is held, the scan there and nobody cancelled.

    Parameters
    ----------
    result : mapping
        The object of ``predict --json``.
    explain : bool
        Whether its explanation is queued with it, where one can be made.
    embedding : sequence of float, optional
        Where the scan lies in the model's features, for :mod:`service.drift`.

    Returns
    -------
    bool
        False when the job is no longer this worker's, or was cancelled: nothing is written.
    """
    values = {"model_version_id": model_version_id, "timing": result["timing_ms"]}
    if not succeed(session, PredictionRow, prediction_id, owner=owner, values=values):
        return False
    prediction = session.get_one(PredictionRow, prediction_id)
    session.add(
        ResultRow(
            organisation_id=prediction.organisation_id,
            prediction_id=prediction_id,
            model_version_id=model_version_id,
            adhd_probability=result["adhd_probability"],
            interval_low=result["interval"]["low"],
            interval_high=result["interval"]["high"],
            decision=result["decision"],
            result=dict(result),
        )
    )
    session.add(
        ScanMeasurementRow(
            organisation_id=prediction.organisation_id,
            prediction_id=prediction_id,
            model_version_id=model_version_id,
            figures=measured_of(result),
            embedding=None if embedding is None else list(embedding),
        )
    )
    if explain and is_explainable(result.get("model") or {}):
        session.add(
            ExplanationRow(
                organisation_id=prediction.organisation_id,
                prediction_id=prediction_id,
                max_attempts=prediction.max_attempts,
            )
        )
    session.flush()
    return True


def request_cancel(session: Session, prediction_id: str, *, actor: Actor) -> PredictionRow:
    """Cancel: at once when queued, by the worker within its next heartbeat when running.

    Asking again changes nothing.

    Raises
    ------
    PredictionNotFoundError
        If there is no such prediction.
    PredictionFinishedError
        If it has succeeded or failed.
    """
    row = cancel(session, PredictionRow, prediction_id)
    if row is not None:
        record(
            session,
            actor=actor,
            action="prediction.cancel",
            subject_kind="prediction",
            subject_id=row.id,
            organisation_id=row.organisation_id,
        )
        return row
    row = _reload(session, prediction_id)
    if row.state in {PredictionState.SUCCEEDED, PredictionState.FAILED}:
        raise PredictionFinishedError(row.state.value)
    return row


def retry(session: Session, prediction_id: str, *, actor: Actor) -> PredictionRow:
    """Queue a failed or cancelled prediction again, with all its attempts.

    Raises
    ------
    PredictionNotFoundError
        If there is no such prediction, or its scan is deleted.
    PredictionNotRetryableError
        If it is queued, running or has succeeded.
    ScanGivenUpError
        If its scan was a zip that is not kept any more.
    """
    known = session.get(PredictionRow, prediction_id)
    if known is not None and session.get_one(ScanRow, known.scan_id).given_up_at is not None:
        raise ScanGivenUpError
    # What is kept of a scan that was to be brought into template space is found again on the way.
    row = queue_again(session, PredictionRow, prediction_id, values={"lane": Lane.INFERENCE})
    if row is None:
        found = _reload(session, prediction_id)
        if session.get_one(ScanRow, found.scan_id, populate_existing=True).deleted_at is not None:
            raise PredictionNotFoundError(prediction_id)
        raise PredictionNotRetryableError(found.state.value)
    record(
        session,
        actor=actor,
        action="prediction.retry",
        subject_kind="prediction",
        subject_id=prediction_id,
        organisation_id=row.organisation_id,
    )
    return row


def _reload(session: Session, prediction_id: str) -> PredictionRow:
    """Read a prediction from the database, whatever the session remembers."""
    row = session.get(PredictionRow, prediction_id, populate_existing=True)
    if row is None:
        raise PredictionNotFoundError(prediction_id)
    return row
