"""Deleting a scan: its bytes, its results and what was said about it go; that it happened stays."""

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from service import jobs
from service.api.principals import Principal
from service.api.refusals import ScanInUseError, ScanNotFoundError
from service.api.resources import Resources
from service.api.viewing import find_scan
from service.audit import record
from service.db.base import utc_now
from service.db.rows import RUNNING, IdempotencyRow, PredictionRow, PredictionState, ResultRow, ScanRow
from service.storage import discard


def delete_scan(resources: Resources, principal: Principal, scan_id: str) -> None:
    """Remove a scan with everything that came of it, except the audit.

    A prediction that waits is cancelled. The scan's row stays with its hash and size only, marked as deleted,
    and is never shown again.

    Raises
    ------
    ScanNotFoundError
        If the account sees no such scan.
    ScanInUseError
        If a worker is reading it.
    """
    with resources.sessions_for(principal).begin() as session:
        scan = _mark_deleted(session, find_scan(session, principal, scan_id).id)
        of_this_scan = select(PredictionRow.id).where(PredictionRow.scan_id == scan.id)
        # Read under the mark: who claimed before it is seen, and who comes after it finds no scan.
        if session.scalars(of_this_scan.where(PredictionRow.state.in_(RUNNING))).first() is not None:
            raise ScanInUseError
        waiting = select(PredictionRow.id).where(
            PredictionRow.scan_id == scan.id, PredictionRow.state == PredictionState.QUEUED
        )
        for prediction_id in session.scalars(waiting).all():
            jobs.request_cancel(session, prediction_id, actor=principal.actor)
        ids = list(session.scalars(of_this_scan))
        session.execute(delete(ResultRow).where(ResultRow.prediction_id.in_(ids)))
        session.execute(delete(IdempotencyRow).where(IdempotencyRow.prediction_id.in_(ids)))
        session.execute(
            update(PredictionRow)
            .where(PredictionRow.id.in_(ids))
            .values(error_message=None, error_details=None)
            .execution_options(synchronize_session=False)
        )
        storage_key = scan.storage_key
        scan.display_name = "deleted"
        scan.subject_id = scan.age_years = scan.sex = scan.site = scan.header = None
        record(
            session,
            actor=principal.actor,
            action="scan.delete",
            subject_kind="scan",
            subject_id=scan.id,
            details={"sha256": scan.sha256, "predictions": ids},
        )
    # After the commit: a file too many can be swept up, a row without its file cannot be mended.
    discard(resources.storage, storage_key)


def _mark_deleted(session: Session, scan_id: str) -> ScanRow:
    # The first thing written: from here to the commit nobody else can delete, claim or retry.
    marked = session.scalars(
        update(ScanRow)
        .where(ScanRow.id == scan_id, ScanRow.deleted_at.is_(None))
        .values(deleted_at=utc_now())
        .returning(ScanRow),
        execution_options={"synchronize_session": False, "populate_existing": True},
    ).one_or_none()
    if marked is None:
        raise ScanNotFoundError
    return marked
