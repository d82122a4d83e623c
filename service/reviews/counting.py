"""How often clinicians went along with the model, and how often the final diagnosis did."""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from service.db.rows import ResultRow, ReviewRow
from service.reviews.words import Diagnosis, Verdict

GROUPS = (Diagnosis.ADHD.value, Diagnosis.CONTROL.value)
"""The words that a decision and a diagnosis share."""


@dataclass(frozen=True)
class ReviewCounts:
    """An organisation's reviewed predictions, each counted once.

    Attributes
    ----------
    accepted, overridden : int
        By the newest review of each prediction.
    with_diagnosis : int
        Predictions with a diagnosis; the newest one that was given stands.
    decided : int
        Of these, where decision and diagnosis are both ADHD or control, so that they can be compared.
    agreeing : int
        Of these, where the two are the same.
    table : dict
        Predictions by diagnosis, then by the model's decision.
    """

    accepted: int
    overridden: int
    with_diagnosis: int
    decided: int
    agreeing: int
    table: dict[str, dict[str, int]]


def count_reviews(session: Session) -> ReviewCounts:
    """Count the reviews that the session sees: those of one organisation, or of all of them."""
    newest = aliased(ReviewRow)
    verdicts: Counter[str] = Counter()
    for verdict, number in session.execute(
        select(newest.verdict, func.count())
        .where(newest.id == _newest_id(newest.prediction_id, with_diagnosis=False))
        .group_by(newest.verdict)
    ):
        verdicts[verdict] = number
    diagnosed = session.execute(
        select(newest.diagnosis, ResultRow.decision, func.count())
        .join(ResultRow, ResultRow.prediction_id == newest.prediction_id)
        .where(newest.id == _newest_id(newest.prediction_id, with_diagnosis=True))
        .group_by(newest.diagnosis, ResultRow.decision)
    ).all()
    table = {diagnosis.value: dict.fromkeys((*GROUPS, "uncertain"), 0) for diagnosis in Diagnosis}
    for diagnosis, decision, number in diagnosed:
        table[str(diagnosis)][decision] = number
    return ReviewCounts(
        accepted=verdicts[Verdict.ACCEPTED.value],
        overridden=verdicts[Verdict.OVERRIDDEN.value],
        with_diagnosis=sum(number for *_, number in diagnosed),
        decided=sum(table[diagnosis][decision] for diagnosis in GROUPS for decision in GROUPS),
        agreeing=sum(table[group][group] for group in GROUPS),
        table=table,
    )


def _newest_id(prediction_id: InstrumentedAttribute[str], *, with_diagnosis: bool) -> ColumnElement[str]:
    """Return the id of a prediction's newest review, of those with a diagnosis if asked so."""
    other = aliased(ReviewRow)
    query = select(other.id).where(other.prediction_id == prediction_id)
    if with_diagnosis:
        query = query.where(other.diagnosis.is_not(None))
    return query.order_by(other.created_at.desc(), other.id.desc()).limit(1).scalar_subquery()
