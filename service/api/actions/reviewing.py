"""Reviewing a prediction, and reading its reviews, as an account may."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.api.access.principal import Principal
from service.api.actions.viewing import find_prediction
from service.api.cursor import encode_cursor, newest_first
from service.api.review_payloads import (
    AcceptedReview,
    AgreementCounts,
    DecisionCounts,
    DiagnosisCounts,
    OverriddenReview,
    ReviewCountsResponse,
    ReviewPage,
    ReviewResponse,
)
from service.audit import ReadLog
from service.db.rows import ReviewRow, UserRow
from service.reviews import Diagnosis, OwnDecision, Verdict, count_reviews, review_prediction


def add_review(
    session: Session, principal: Principal, prediction_id: str, review: AcceptedReview | OverriddenReview
) -> ReviewResponse:
    """Add an account's review of a prediction that it may see, and commit.

    Raises
    ------
    PredictionNotFoundError
        If it sees none.
    PredictionNotFinishedError, OverrideAgreesError
        If this cannot be said of it.
    """
    row = review_prediction(
        session,
        find_prediction(session, principal, prediction_id).id,
        actor=principal.actor,
        reviewed_by=principal.user_id,
        verdict=review.verdict,
        decision=review.decision if isinstance(review, OverriddenReview) else None,
        reason=review.reason,
        diagnosis=review.diagnosis,
        training_consent=review.training_consent,
    )
    # What the database's clock said.
    session.refresh(row, ["created_at"])
    session.commit()
    return _response(row, principal.username)


def read_reviews(
    session: Session,
    principal: Principal,
    prediction_id: str,
    *,
    cursor: str | None,
    limit: int,
    reads: ReadLog,
) -> ReviewPage:
    """Show an account a page of a prediction's reviews, once the audit has it.

    Raises
    ------
    PredictionNotFoundError
        If it sees no such prediction.
    """
    row_id = find_prediction(session, principal, prediction_id).id
    reads.note(session, principal.actor, action="review.read", subject_kind="prediction", subject_id=row_id)
    return review_page(session, row_id, cursor=cursor, limit=limit)


def review_page(session: Session, prediction_id: str, *, cursor: str | None, limit: int) -> ReviewPage:
    """Read a page of the reviews of a prediction whose look is in the audit already, newest first."""
    query: Any = (
        select(ReviewRow, UserRow.username)
        .outerjoin(UserRow, UserRow.id == ReviewRow.reviewed_by)
        .where(ReviewRow.prediction_id == prediction_id)
    )
    paged = newest_first(query, ReviewRow.created_at, ReviewRow.id, cursor=cursor, limit=limit)
    rows = session.execute(paged).all()
    last = rows[limit - 1][0] if len(rows) > limit else None
    more = encode_cursor(last.created_at, last.id) if last is not None else None
    return ReviewPage(items=[_response(row, username) for row, username in rows[:limit]], next_cursor=more)


def read_review_counts(session: Session, principal: Principal, *, reads: ReadLog) -> ReviewCountsResponse:
    """Count the reviews of an account's organisation, once the audit has the look."""
    reads.note(session, principal.actor, action="review.count", subject_kind="review", subject_id="list")
    counts = count_reviews(session)
    table = {diagnosis: DecisionCounts(**decisions) for diagnosis, decisions in counts.table.items()}
    return ReviewCountsResponse(
        accepted=counts.accepted,
        overridden=counts.overridden,
        with_diagnosis=counts.with_diagnosis,
        agreement=AgreementCounts(agreeing=counts.agreeing, decided=counts.decided),
        by_diagnosis=DiagnosisCounts(**table),
    )


def _response(row: ReviewRow, reviewer: str | None) -> ReviewResponse:
    return ReviewResponse(
        id=row.id,
        prediction_id=row.prediction_id,
        reviewer=reviewer,
        verdict=Verdict(row.verdict),
        decision=OwnDecision(row.decision) if row.decision else None,
        reason=row.reason,
        diagnosis=Diagnosis(row.diagnosis) if row.diagnosis else None,
        training_consent=row.training_consent,
        created_at=row.created_at,
    )
