"""Deleting a scan: its bytes, its results and what was said about it go; that it happened stays."""

from datetime import UTC, datetime

from sqlalchemy import delete, select, update

from service import jobs
from service.api.principals import Principal
from service.api.refusals import ScanInUseError
from service.api.resources import Resources
from service.api.viewing import find_scan
from service.audit import record
from service.db.rows import RUNNING, IdempotencyRow, PredictionRow, PredictionState, ResultRow


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
    with resources.sessions.begin() as session:
        scan = find_scan(session, principal, scan_id)
        waiting = select(PredictionRow.id).where(
            PredictionRow.scan_id == scan.id, PredictionRow.state == PredictionState.QUEUED
        )
        for prediction_id in session.scalars(waiting).all():
            jobs.request_cancel(session, prediction_id, actor=principal.actor)
        of_this_scan = select(PredictionRow.id).where(PredictionRow.scan_id == scan.id)
        # Read after the cancellations: a worker may have claimed one in between.
        if session.scalars(of_this_scan.where(PredictionRow.state.in_(RUNNING))).first() is not None:
            raise ScanInUseError
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
        scan.deleted_at = datetime.now(UTC)
        record(
            session,
            actor=principal.actor,
            action="scan.delete",
            subject_kind="scan",
            subject_id=scan.id,
            details={"sha256": scan.sha256, "predictions": ids},
        )
    # After the commit: a file too many can be swept up, a row without its file cannot be mended.
    resources.storage.delete(storage_key)
