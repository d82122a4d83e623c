"""Which model versions the housekeeping has to look at; loads nothing that a look itself needs."""

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from service.db.base import utc_now
from service.db.rows import DriftEvaluationRow, ResultRow
from service.registry import active_model


def versions_due(session: Session, *, every_s: float) -> list[str]:
    """Return the versions to look at: the one that answers when its time has come, others when asked for."""
    answering = active_model(session)
    answering_id = None if answering is None else answering.id
    known = session.scalar(
        select(DriftEvaluationRow.model_version_id).where(
            DriftEvaluationRow.model_version_id == answering_id, DriftEvaluationRow.evaluated_at.is_not(None)
        )
    )
    asked = or_(
        DriftEvaluationRow.evaluated_at.is_(None),
        DriftEvaluationRow.requested_at > DriftEvaluationRow.evaluated_at,
    )
    old = (DriftEvaluationRow.model_version_id == answering_id) & (
        DriftEvaluationRow.evaluated_at <= utc_now(-every_s)
    )
    due = list(session.scalars(select(DriftEvaluationRow.model_version_id).where(or_(asked, old))))
    if answering_id is not None and known is None and answering_id not in due:
        # Nothing to look at, and nothing to load numpy for, before the first answer.
        answered = select(ResultRow.prediction_id).where(ResultRow.model_version_id == answering_id)
        if session.scalar(answered.limit(1)) is not None:
            due.append(answering_id)
    return due
