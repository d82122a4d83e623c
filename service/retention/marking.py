"""The first step of a scan's end: after one commit nobody sees it, and what was said of a person is gone."""

from enum import StrEnum

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from service import jobs
from service.audit import record
from service.db.base import utc_now
from service.db.job import TERMINAL
from service.db.rows import (
    SCORING,
    ExplanationRow,
    IdempotencyRow,
    NormalisedScanRow,
    PredictionRow,
    ResultRow,
    ReviewRow,
    ScanMeasurementRow,
    ScanRow,
    ScoreRow,
)
from service.identity.actor import Actor
from service.reviews import hand_over, lock_person


class Reason(StrEnum):
    """Why a scan ends."""

    REQUEST = "request"
    RETENTION = "retention"


def mark_deleted(session: Session, scan_id: str, *, actor: Actor, reason: Reason) -> bool:
    """Mark a scan, remove its results, reviews and what was said about it, and stop what works on it.

    Its row stays, with hash and size only. What the person refused, and that their other scans are one
    person's, is handed to these first. A prediction that waits is cancelled at once; one that runs is asked
    to stop, can store no result any more, and keeps the file until it has ended.

    Parameters
    ----------
    session : Session
        Not committed.
    scan_id : str
    actor : Actor
    reason : Reason

    Returns
    -------
    bool
        False when there is no such scan, or somebody else has marked it.
    """
    # Before anything is written: two deletions of one person's scans write to each other's.
    locked = lock_person(session, scan_id)
    # The first thing written: from here to the commit nobody else can mark, claim, retry or finish.
    scan = session.scalars(
        update(ScanRow)
        .where(ScanRow.id == scan_id, ScanRow.deleted_at.is_(None))
        .values(deleted_at=utc_now(), deleted_because=reason.value)
        .returning(ScanRow),
        execution_options={"synchronize_session": False, "populate_existing": True},
    ).one_or_none()
    if scan is None:
        return False
    ids = list(session.scalars(select(PredictionRow.id).where(PredictionRow.scan_id == scan.id)))
    _stop(session, ids, actor=actor, organisation_id=scan.organisation_id)
    kept_for = hand_over(session, scan, locked=locked)
    session.execute(delete(ReviewRow).where(ReviewRow.prediction_id.in_(ids)))
    session.execute(delete(ScanMeasurementRow).where(ScanMeasurementRow.prediction_id.in_(ids)))
    session.execute(delete(ResultRow).where(ResultRow.prediction_id.in_(ids)))
    session.execute(delete(IdempotencyRow).where(IdempotencyRow.prediction_id.in_(ids)))
    _end_explanations(session, ids)
    _end_scores(session, scan.id)
    # The row stays until its file is removed.
    session.execute(
        update(NormalisedScanRow)
        .where(NormalisedScanRow.scan_id == scan.id)
        .values(known=None, summary=None, provenance=None)
        .execution_options(synchronize_session=False)
    )
    forget_errors(session, scan.id)
    scan.display_name = "deleted"
    scan.subject_id = scan.age_years = scan.sex = scan.site = scan.header = None
    scan.slice_times_s = scan.tr_s = scan.slice_order = scan.run = scan.sidecar = scan.taken = None
    scan.training_refused_at = scan.linked_as = None
    details: dict[str, object] = {"sha256": scan.sha256, "predictions": ids, "reason": reason.value}
    if kept_for:
        details["refusal_kept_for"] = kept_for
    record(
        session,
        actor=actor,
        action="scan.delete",
        subject_kind="scan",
        subject_id=scan.id,
        details=details,
        organisation_id=scan.organisation_id,
    )
    return True


def forget_errors(session: Session, scan_id: str) -> None:
    """Remove what the predictions of a scan, and their explanations, say of what was wrong with it."""
    ids = select(PredictionRow.id).where(PredictionRow.scan_id == scan_id)
    for statement in (
        update(PredictionRow).where(PredictionRow.scan_id == scan_id),
        update(ExplanationRow).where(ExplanationRow.prediction_id.in_(ids)),
    ):
        session.execute(
            statement.values(error_message=None, error_details=None).execution_options(
                synchronize_session=False
            )
        )


def _end_explanations(session: Session, prediction_ids: list[str]) -> None:
    """Stop them and forget what they say; their rows stay, and tell which files there are to remove."""
    of_scan = ExplanationRow.prediction_id.in_(prediction_ids)
    unfinished = select(ExplanationRow.id).where(of_scan, ExplanationRow.state.not_in(TERMINAL))
    for explanation_id in session.scalars(unfinished).all():
        jobs.cancel(session, ExplanationRow, explanation_id)
    session.execute(
        update(ExplanationRow).where(of_scan).values(facts=None).execution_options(synchronize_session=False)
    )


def _end_scores(session: Session, scan_id: str) -> None:
    """Remove them; one that runs is told to stop, and its row says until then that the file is read."""
    of_scan = ScoreRow.scan_id == scan_id
    for score_id in session.scalars(select(ScoreRow.id).where(of_scan, ScoreRow.state.in_(SCORING))).all():
        jobs.cancel(session, ScoreRow, score_id)
    session.execute(delete(ScoreRow).where(of_scan, ScoreRow.state.not_in(SCORING)))


def _stop(session: Session, prediction_ids: list[str], *, actor: Actor, organisation_id: str) -> None:
    unfinished = select(PredictionRow.id).where(
        PredictionRow.id.in_(prediction_ids), PredictionRow.state.not_in(TERMINAL)
    )
    for prediction_id in session.scalars(unfinished).all():
        if jobs.cancel(session, PredictionRow, prediction_id) is not None:
            record(
                session,
                actor=actor,
                action="prediction.cancel",
                subject_kind="prediction",
                subject_id=prediction_id,
                organisation_id=organisation_id,
            )
