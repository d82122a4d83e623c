"""The answers that were given, beside what another model says of the same scans."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from service.db.restricted import COUNTS_EVERY_ORGANISATION
from service.db.rows import RescoreRow, ResultRow, ReviewRow, ScoreRow, ScoreState, ShadowRow
from service.reviews import Diagnosis
from service.scoring.figures import Pair

Cause = ShadowRow | RescoreRow
Asked = Select[*tuple[Any, ...]]
_EVERYBODY: dict[str, Any] = {COUNTS_EVERY_ORGANISATION: True}
_GROUPS = (Diagnosis.ADHD.value, Diagnosis.CONTROL.value)


def scored_for(cause: Cause) -> ColumnElement[bool]:
    """Return the condition that a score belongs to a time in shadow, or to a batch, and is there."""
    column = ScoreRow.shadow_id if isinstance(cause, ShadowRow) else ScoreRow.rescore_id
    return (column == cause.id) & (ScoreRow.state == ScoreState.SUCCEEDED)


def pairs_of(session: Session, cause: Cause) -> Sequence[Pair]:
    """Read the pairs of a time in shadow or of a batch, whoever's they are; they name nobody.

    A prediction is compared with its own result, by whichever model answered then.
    """
    both = select(
        ScoreRow.prediction_id,
        ResultRow.adhd_probability,
        ResultRow.decision,
        ScoreRow.adhd_probability,
        ScoreRow.decision,
    ).join(ResultRow, ResultRow.prediction_id == ScoreRow.prediction_id)
    diagnosed = _diagnoses(session, cause)
    rows = session.execute(both.where(scored_for(cause)), execution_options=_EVERYBODY)
    return [
        Pair(then, then_decision, now, now_decision, diagnosed.get(prediction_id))
        for prediction_id, then, then_decision, now, now_decision in rows
        # What has succeeded has both: the columns are empty for others alone.
        if now is not None and now_decision is not None
    ]


def decided_otherwise(query: Asked, cause: Cause) -> Asked:
    """Hold a query about scores to those whose decision is another than the one that was answered."""
    return query.join(ResultRow, ResultRow.prediction_id == ScoreRow.prediction_id).where(
        scored_for(cause), ScoreRow.decision != ResultRow.decision
    )


def count_changed(session: Session, cause: Cause) -> int:
    """Count the predictions that were decided otherwise, whoever's they are."""
    counted = decided_otherwise(select(func.count(ScoreRow.id)), cause)
    number: int = session.execute(counted, execution_options=_EVERYBODY).scalar_one()
    return number


def _diagnoses(session: Session, cause: Cause) -> dict[str, str]:
    """Read the newest diagnosis of each prediction, where it is one of the model's two groups."""
    given = (
        select(ReviewRow.prediction_id, ReviewRow.diagnosis)
        .join(ScoreRow, ScoreRow.prediction_id == ReviewRow.prediction_id)
        .where(ReviewRow.diagnosis.is_not(None), scored_for(cause))
        .order_by(ReviewRow.created_at, ReviewRow.id)
    )
    rows = session.execute(given, execution_options=_EVERYBODY)
    # Later ones replace earlier ones.
    newest = {row[0]: row[1] for row in rows}
    return {prediction_id: word for prediction_id, word in newest.items() if word in _GROUPS}
