"""A prediction of a scan in the scanner's space: to the queue that normalises it, and back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.db.base import utc_now
from service.db.job import JobState
from service.db.rows import Lane, NormalisedScanRow, PredictionRow, ScanRow
from service.jobs.lease import hand_on

# What is done of the whole when the scan lies in template space.
_NORMALISED = 0.9


@dataclass(frozen=True, kw_only=True)
class NormalisedFile:
    """A stored file in template space.

    Attributes
    ----------
    version : int
        Of the pipeline that made it.
    storage_key, sha256 : str
    size_bytes : int
    summary, provenance : dict
        As :class:`service.db.rows.NormalisedScanRow` has them.
    took_ms : float
    known : dict or None
        What the file can be made again from and the stored scan does not show.
    """

    version: int
    storage_key: str
    sha256: str
    size_bytes: int
    summary: dict[str, Any]
    provenance: dict[str, Any]
    took_ms: float
    known: dict[str, Any] | None = None


def normalised_of(session: Session, scan_id: str) -> NormalisedScanRow | None:
    """Read what is kept of a scan in template space, as it is now."""
    return session.get(NormalisedScanRow, scan_id, populate_existing=True)


def send_to_normalising(session: Session, prediction_id: str, *, owner: str) -> bool:
    """Let a prediction wait in the queue of scans that are to be brought into template space.

    Its attempts are counted anew: finding out where the scan lies was none of these.

    Returns
    -------
    bool
        False when the lease is lost, or the prediction cancelled.
    """
    return hand_on(session, PredictionRow, prediction_id, owner=owner, values=_waiting(Lane.NORMALISING))


def keep_known(session: Session, scan_id: str, known: Mapping[str, Any], *, version: int) -> bool:
    """Keep what the work can go on from; what another version of the pipeline left is forgotten.

    Returns
    -------
    bool
        False where the scan was deleted meanwhile: nothing is kept.
    """
    if not _is_there(session, scan_id):
        return False
    _row_for(session, scan_id, version).known = dict(known)
    session.flush()
    return True


def finish_normalising(session: Session, prediction_id: str, *, owner: str, file: NormalisedFile) -> bool:
    """Note the file in template space, and let the prediction wait for its answer.

    Returns
    -------
    bool
        As :func:`send_to_normalising`; nothing is noted then.
    """
    if not let_go_on(session, prediction_id, owner=owner):
        return False
    _note(session, session.get_one(PredictionRow, prediction_id).scan_id, file)
    return True


def note_made_again(session: Session, scan_id: str, file: NormalisedFile) -> bool:
    """Note a file in template space that a job made which is no prediction.

    Returns
    -------
    bool
        False where the scan was deleted meanwhile: nothing is noted.
    """
    if not _is_there(session, scan_id):
        return False
    _note(session, scan_id, file)
    return True


def _is_there(session: Session, scan_id: str) -> bool:
    """Tell whether a scan is not deleted, and let a deletion wait until what follows is done."""
    kept = select(ScanRow.id).where(ScanRow.id == scan_id, ScanRow.deleted_at.is_(None))
    return session.scalar(kept.with_for_update(read=True)) is not None


def normalise_again(session: Session, prediction_id: str, *, owner: str) -> bool:
    """Forget a file that storage has lost or changed; otherwise as :func:`send_to_normalising`."""
    if not send_to_normalising(session, prediction_id, owner=owner):
        return False
    # Its name stays, so that it is removed with its scan.
    session.execute(
        update(NormalisedScanRow)
        .where(NormalisedScanRow.scan_id == session.get_one(PredictionRow, prediction_id).scan_id)
        .values(finished_at=None),
        execution_options={"synchronize_session": False},
    )
    return True


def let_go_on(session: Session, prediction_id: str, *, owner: str) -> bool:
    """Let a prediction wait for its answer whose scan lies in template space already."""
    values = {**_waiting(Lane.INFERENCE), "progress": _NORMALISED}
    return hand_on(session, PredictionRow, prediction_id, owner=owner, values=values)


def _note(session: Session, scan_id: str, file: NormalisedFile) -> None:
    row = _row_for(session, scan_id, file.version)
    session.flush()
    session.execute(
        update(NormalisedScanRow)
        .where(NormalisedScanRow.scan_id == row.scan_id)
        .values(**asdict(file), finished_at=utc_now()),
        execution_options={"synchronize_session": False},
    )
    session.expire(row)


def _waiting(lane: Lane) -> dict[str, Any]:
    return {
        **PredictionRow.UNSTARTED,
        "state": JobState.QUEUED,
        "lane": lane,
        "attempts": 0,
        "published_at": None,
        "error_code": None,
        "error_message": None,
        "error_details": None,
    }


def _row_for(session: Session, scan_id: str, version: int) -> NormalisedScanRow:
    row = normalised_of(session, scan_id)
    if row is not None and row.version != version:
        session.delete(row)
        session.flush()
        row = None
    if row is None:
        scan = session.get_one(ScanRow, scan_id)
        row = NormalisedScanRow(organisation_id=scan.organisation_id, scan_id=scan_id, version=version)
        session.add(row)
    return row
