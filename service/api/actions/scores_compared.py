"""What would have changed, as an account may see it: figures of everybody, predictions of its own."""

from dataclasses import asdict
from datetime import datetime
from typing import cast

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, contains_eager

from service import scoring
from service.api.access.principal import Principal
from service.api.cursor import encode_cursor, newest_first
from service.api.scoring_payloads import (
    AgreementResponse,
    AnswerResponse,
    ChangedPage,
    ChangedPrediction,
    ComparisonResponse,
    DifferencesResponse,
)
from service.audit import ReadLog
from service.db.rows import PredictionRow, RescoreRow, ResultRow, ScanRow, ScoreRow, ShadowRow
from service.identity.permissions import Permission

Cause = ShadowRow | RescoreRow
# Only scores that succeeded are listed, and those have ended.
_ENDED = cast("InstrumentedAttribute[datetime]", ScoreRow.finished_at)


def compare_scores(session: Session, cause: Cause) -> ComparisonResponse:
    """Say what shadow mode or a batch would have changed, over all organisations; ends the session."""
    pairs = scoring.pairs_of(session, cause)
    # The figures take time where there are many: nobody else may lack the connection meanwhile.
    session.close()
    figures = scoring.compare(pairs)
    differences = None
    if figures.differences is not None:
        told = asdict(figures.differences)
        told["quantiles"] = {f"{share:g}": value for share, value in figures.differences.quantiles.items()}
        differences = DifferencesResponse(**told)
    return ComparisonResponse(
        n=figures.n,
        decisions=figures.decisions,
        changed=asdict(figures.changed),
        differences=differences,
        agreement_then=AgreementResponse(**asdict(figures.agreement_then)),
        agreement_now=AgreementResponse(**asdict(figures.agreement_now)),
    )


def list_changed(
    session: Session,
    principal: Principal,
    cause: Cause,
    *,
    cursor: str | None,
    limit: int,
    reads: ReadLog,
) -> ChangedPage:
    """Show the predictions of the account's organisation that are decided otherwise, once the audit has it.

    Raises
    ------
    FieldsNotValidError
        If the cursor is none.
    """
    query = (
        scoring.decided_otherwise(select(ScoreRow, ResultRow), cause)
        .join(PredictionRow, PredictionRow.id == ScoreRow.prediction_id)
        .join(ScanRow, ScanRow.id == ScoreRow.scan_id)
        .options(contains_eager(ScoreRow.prediction), contains_eager(ScoreRow.scan))
    )
    rows = session.execute(newest_first(query, _ENDED, ScoreRow.id, cursor=cursor, limit=limit)).all()
    shown = rows[:limit]
    more = None
    if len(rows) > limit:
        last = shown[-1][0]
        more = encode_cursor(last.finished_at, last.id)
    own = scoring.decided_otherwise(select(func.count(ScoreRow.id)), cause)
    elsewhere = scoring.count_changed(session, cause) - session.execute(own).scalar_one()
    sees = principal.may(Permission.READ_PREDICTIONS)
    items = [_changed_prediction(score, result, sees=sees) for score, result in shown]
    reads.note_list(
        session,
        principal.actor,
        action="prediction.list",
        subject_kind="prediction",
        ids=[item.prediction_id for item in items],
    )
    return ChangedPage(items=items, next_cursor=more, elsewhere=elsewhere)


def _changed_prediction(score: ScoreRow, result: ResultRow, *, sees: bool) -> ChangedPrediction:
    return ChangedPrediction(
        prediction_id=score.prediction_id,
        subject_id=score.scan.subject_id if sees else None,
        answered_at=score.prediction.finished_at,
        model_version_id=result.model_version_id,
        then=_answer(result),
        now=_answer(score),
    )


def _answer(row: ScoreRow | ResultRow) -> AnswerResponse:
    return AnswerResponse(
        adhd_probability=row.adhd_probability,
        low=row.interval_low,
        high=row.interval_high,
        decision=row.decision,
    )
