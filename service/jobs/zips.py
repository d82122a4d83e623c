"""What becomes of a zip that was handed over: a run takes its place, or it is given up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import and_, exists, select, update
from sqlalchemy.orm import Session

from service.db.base import utc_now
from service.db.job import TERMINAL
from service.db.rows import PredictionRow, ScanRow
from service.errors import ServiceError


class ScanGivenUpError(ServiceError):
    """What was handed over is no longer there, and no run was made of it."""

    code: ClassVar[str] = "scan_given_up"

    def __init__(self) -> None:
        super().__init__(
            "expected a zip that is still kept, found one that is removed: no run was made of it"
        )


@dataclass(frozen=True, kw_only=True)
class TakenFile:
    """The stored file of the run that was made of a zip.

    Attributes
    ----------
    storage_key, sha256 : str
    facts : mapping
        What the zip knew of the run, as :class:`service.worker.taking_enclosed.TakenFacts` has it.
    """

    storage_key: str
    sha256: str
    facts: Mapping[str, Any]


def keep_taken(session: Session, scan_id: str, file: TakenFile) -> bool:
    """Let a run stand in its zip's place; the zip is to be removed from now on.

    Returns
    -------
    bool
        False where the scan was deleted meanwhile, or has no zip any more: nothing is written.
    """
    values = {"stored_sha256": file.sha256, "storage_key": file.storage_key, "taken": dict(file.facts)}
    return _let_go(session, scan_id, values)


def give_up_zip(session: Session, scan_id: str) -> bool:
    """Note that no run is made of a zip, which is to be removed from now on; else as :func:`keep_taken`."""
    return _let_go(session, scan_id, {"given_up_at": utc_now()})


def unwanted_zips(session: Session, *, older_than_s: float, limit: int) -> list[str]:
    """Return the scans whose zips nothing waits for, and whose predictions are over for so long."""
    still = exists().where(
        PredictionRow.scan_id == ScanRow.id,
        PredictionRow.state.not_in(TERMINAL) | (PredictionRow.finished_at > utc_now(-older_than_s)),
    )
    query = (
        select(ScanRow.id).where(ScanRow.packed, ScanRow.deleted_at.is_(None), ~still).order_by(ScanRow.id)
    )
    return list(session.scalars(query.limit(limit)))


def _let_go(session: Session, scan_id: str, values: Mapping[str, Any]) -> bool:
    there = and_(ScanRow.id == scan_id, ScanRow.packed, ScanRow.deleted_at.is_(None))
    found = session.execute(
        update(ScanRow)
        .where(there)
        # On the right side of an assignment is what was there before.
        .values(leftover_key=ScanRow.storage_key, packed=False, **values)
        .returning(ScanRow.id),
        execution_options={"synchronize_session": False},
    ).one_or_none()
    return found is not None
