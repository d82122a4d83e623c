"""Zips that were handed over leave storage: once a run is made of them, or nobody waits for one any more."""

from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.rows import ScanRow
from service.errors import ServiceError
from service.logs import get_logger
from service.retention.removal import PATIENCE, ROUND, require_gone
from service.storage import Storage

# A prediction that failed for a while, or was cancelled, may be tried again for so long, in seconds.
UNWANTED_S = 24 * 3600

log = get_logger(__name__)


def give_up_unwanted(sessions: sessionmaker[Session], *, older_than_s: float = UNWANTED_S) -> int:
    """Give up the zips of which no run was made although their predictions are over; returns how many."""
    with sessions.begin() as session:
        ids = jobs.unwanted_zips(session, older_than_s=older_than_s, limit=ROUND)
        return sum(jobs.give_up_zip(session, scan_id) for scan_id in ids)


def remove_leftovers(sessions: sessionmaker[Session], storage: Storage) -> int:
    """Remove the zips that no scan needs any more; returns how many."""
    query = select(ScanRow.id).where(ScanRow.leftover_key.is_not(None), ScanRow.files_removed_at.is_(None))
    with sessions() as session:
        ids = session.scalars(query.order_by(ScanRow.id).limit(ROUND)).all()
    removed = failed = 0
    for scan_id in ids:
        if remove_leftover(sessions, storage, scan_id):
            removed += 1
        else:
            failed += 1
        if failed == PATIENCE:
            break
    return removed


def remove_leftover(sessions: sessionmaker[Session], storage: Storage, scan_id: str) -> bool:
    """Remove the zip of one scan, where it is not needed any more; a failure is left to the next round.

    Returns
    -------
    bool
        False where there is none, or storage or the database is away.
    """
    try:
        with sessions() as session:
            key = session.scalar(select(ScanRow.leftover_key).where(ScanRow.id == scan_id))
        if key is None:
            return False
        storage.delete(key)
        require_gone(storage, key)
        with sessions.begin() as session:
            session.execute(
                update(ScanRow)
                .where(ScanRow.id == scan_id, ScanRow.leftover_key == key)
                .values(leftover_key=None),
                execution_options={"synchronize_session": False},
            )
    except ServiceError as error:
        log.warning("zip_not_removed", scan_id=scan_id, code=error.code)
        return False
    except (OSError, DBAPIError) as error:
        log.warning("zip_not_removed", scan_id=scan_id, reason=type(error).__name__)
        return False
    log.info("zip_removed", scan_id=scan_id)
    return True
