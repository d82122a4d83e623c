"""Adding a review to a finished prediction."""

from typing import ClassVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.audit import record
from service.db.rows import PredictionRow, PredictionState, ResultRow, ReviewRow
from service.errors import ServiceError
from service.identity.actor import Actor
from service.jobs.predictions import PredictionNotFinishedError, PredictionNotFoundError
from service.reviews.words import AGREES_WITH, Diagnosis, OwnDecision, Verdict


class OverrideAgreesError(ServiceError):
    """An override that says what the model says: it would count as a disagreement that nobody meant."""

    code: ClassVar[str] = "override_agrees"

    def __init__(self, decision: str) -> None:
        self.decision = decision
        super().__init__(f"expected a word that differs from the model's, found an override by {decision}")


def review_prediction(
    session: Session,
    prediction_id: str,
    *,
    actor: Actor,
    reviewed_by: str | None,
    verdict: Verdict,
    decision: OwnDecision | None,
    reason: str | None,
    diagnosis: Diagnosis | None,
    training_consent: bool | None = None,
) -> ReviewRow:
    """Add a review; the earlier ones stay as they are.

    Parameters
    ----------
    session : Session
        Not committed.
    prediction_id : str
    actor : Actor
    reviewed_by : str or None
        Id of the account; None for none.
    verdict : Verdict
    decision : OwnDecision or None
        For an override.
    reason : str or None
        Up to `REASON_MAX_LENGTH` characters. It may describe a person: neither the log nor the audit has it.
    diagnosis : Diagnosis or None
        Where it is known.
    training_consent : bool or None
        Whether the person, or a guardian, lets the scan be trained on; None says nothing new.

    Raises
    ------
    PredictionNotFoundError
        If there is no such prediction, or its scan is deleted meanwhile.
    PredictionNotFinishedError
        If it has not succeeded.
    OverrideAgreesError
        If an override says the same as the model.
    """
    prediction = session.get(PredictionRow, prediction_id, populate_existing=True)
    if prediction is None:
        raise PredictionNotFoundError(prediction_id)
    said = session.scalars(
        select(ResultRow.decision).where(ResultRow.prediction_id == prediction_id)
    ).one_or_none()
    if prediction.state != PredictionState.SUCCEEDED or said is None:
        raise PredictionNotFinishedError(prediction.state.value)
    if decision is not None and AGREES_WITH.get(said) == decision:
        raise OverrideAgreesError(decision.value)
    row = ReviewRow(
        organisation_id=prediction.organisation_id,
        prediction_id=prediction_id,
        reviewed_by=reviewed_by,
        verdict=verdict.value,
        decision=decision,
        reason=reason,
        diagnosis=diagnosis,
        training_consent=training_consent,
    )
    session.add(row)
    session.flush()
    # Asked after the first write, which orders this with a deletion: it must not leave a review behind.
    wanted = select(PredictionRow.id).where(PredictionRow.id == prediction_id, PredictionRow.still_wanted())
    if session.scalars(wanted).one_or_none() is None:
        raise PredictionNotFoundError(prediction_id)
    details: dict[str, object] = {"review_id": row.id, "verdict": verdict.value}
    if training_consent is not None:
        details["training_consent"] = training_consent
    record(
        session,
        actor=actor,
        action="prediction.review",
        subject_kind="prediction",
        subject_id=prediction_id,
        details=details,
        organisation_id=row.organisation_id,
    )
    return row
