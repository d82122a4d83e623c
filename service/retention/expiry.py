"""What has been kept long enough."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, false, func, select
from sqlalchemy.orm import Session, sessionmaker

from service.audit import record
from service.db.base import utc_now
from service.db.rows import IdempotencyRow, ScanRow
from service.identity.actor import Actor
from service.retention.marking import Reason, mark_deleted

DAY_S = 86400.0
# Scans, or keys, a round: each scan is a transaction of its own.
ROUND = 500


@dataclass(frozen=True)
class Expired:
    """What a round of retention would find.

    Attributes
    ----------
    scans, size_bytes : int
        Scans whose time is over, and their files together.
    marked : int
        Scans that are marked already, whose files are still to be removed.
    idempotency_keys : int
    """

    scans: int
    size_bytes: int
    marked: int
    idempotency_keys: int


def what_is_due(session: Session, *, scan_days: int, idempotency_days: int) -> Expired:
    """Count what is to go, and touch nothing.

    Parameters
    ----------
    scan_days, idempotency_days : int
        As the settings have them; ``scan_days`` 0 keeps every scan.
    """
    scans, size_bytes = session.execute(
        select(func.count(), func.coalesce(func.sum(ScanRow.size_bytes), 0)).where(_is_over(scan_days))
    ).one()
    marked = select(func.count()).where(ScanRow.deleted_at.is_not(None), ScanRow.files_removed_at.is_(None))
    keys = select(func.count()).where(_is_old(idempotency_days))
    return Expired(
        scans=int(scans),
        size_bytes=int(size_bytes),
        marked=int(session.execute(marked).scalar_one()),
        idempotency_keys=int(session.execute(keys).scalar_one()),
    )


def mark_expired(sessions: sessionmaker[Session], *, scan_days: int, actor: Actor, limit: int = ROUND) -> int:
    """Mark scans whose time is over, the oldest first; returns how many.

    Parameters
    ----------
    scan_days : int
        How long a scan is kept after its upload; 0 keeps every scan.
    limit : int
        Scans to mark at most.
    """
    due = select(ScanRow.id).where(_is_over(scan_days)).order_by(ScanRow.created_at).limit(limit)
    with sessions() as session:
        ids = session.scalars(due).all()
    marked = 0
    for scan_id in ids:
        with sessions.begin() as session:
            marked += mark_deleted(session, scan_id, actor=actor, reason=Reason.RETENTION)
    return marked


def forget_idempotency_keys(
    sessions: sessionmaker[Session], *, idempotency_days: int, actor: Actor, limit: int = ROUND
) -> int:
    """Remove idempotency keys that are old enough; returns how many."""
    old = select(IdempotencyRow.id).where(_is_old(idempotency_days)).limit(limit)
    with sessions.begin() as session:
        gone = session.scalars(
            delete(IdempotencyRow).where(IdempotencyRow.id.in_(old)).returning(IdempotencyRow.id),
            execution_options={"synchronize_session": False},
        ).all()
        if gone:
            record(
                session,
                actor=actor,
                action="idempotency_key.expire",
                subject_kind="idempotency_key",
                subject_id="list",
                details={"count": len(gone)},
            )
    return len(gone)


def _is_over(scan_days: int) -> ColumnElement[bool]:
    if scan_days == 0:
        return false()
    return and_(ScanRow.deleted_at.is_(None), ScanRow.created_at < utc_now(-scan_days * DAY_S))


def _is_old(idempotency_days: int) -> ColumnElement[bool]:
    return IdempotencyRow.created_at < utc_now(-idempotency_days * DAY_S)
