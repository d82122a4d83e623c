"""The second and third step of a scan's end: its files go from storage, and the audit keeps the proof."""

from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from service.audit import record
from service.db.base import utc_now
from service.db.restricted import OrganisationSessions
from service.db.rows import (
    EXPLAINING,
    RUNNING,
    SCORING,
    ExplanationRow,
    NormalisedScanRow,
    PredictionRow,
    ScanRow,
    ScoreRow,
)
from service.errors import ServiceError
from service.identity.actor import Actor
from service.logs import get_logger
from service.retention.marking import forget_errors
from service.storage import (
    NORMALISED_FIGURES,
    Storage,
    StoredFileMissingError,
    explanation_key,
    normalised_figure_key,
    normalised_key,
    run_key,
)

# Scans a round, and how many of them may fail before it gives up: storage is away, and each try may hang.
ROUND = 200
PATIENCE = 3

log = get_logger(__name__)

# The whole installation's, or one organisation's.
Sessions = sessionmaker[Session] | OrganisationSessions


class FileNotRemovedError(ServiceError):
    """Storage took the order to remove a file and still has it."""

    code: ClassVar[str] = "file_not_removed"

    def __init__(self) -> None:
        super().__init__("expected a removed file to be gone from storage, found it there")


@dataclass(frozen=True)
class Round:
    """What one round came to.

    Attributes
    ----------
    removed, failed : int
        Scans.
    last_id : str
        Where the next round goes on, so that scans that fail do not keep the others from their turn; empty
        where it begins again.
    """

    removed: int
    failed: int
    last_id: str

    @property
    def gave_up(self) -> bool:
        """Whether so many failed that the others were not tried."""
        return self.failed >= PATIENCE


def remove_files(
    sessions: sessionmaker[Session], storage: Storage, *, actor: Actor, after: str = "", limit: int = ROUND
) -> Round:
    """Remove the files of scans that are marked, except where a worker still reads one.

    Parameters
    ----------
    after : str
        ``last_id`` of the round before.
    limit : int
        Scans to try at most.
    """
    due = (
        select(ScanRow.id)
        .where(ScanRow.deleted_at.is_not(None), ScanRow.files_removed_at.is_(None), ScanRow.id > after)
        .where(~_is_read())
        .order_by(ScanRow.id)
        .limit(limit)
    )
    with sessions() as session:
        ids = session.scalars(due).all()
    removed = failed = 0
    last_id = ""
    for last_id in ids:
        if remove_file(sessions, storage, last_id, actor=actor):
            removed += 1
        else:
            failed += 1
        if failed == PATIENCE:
            break
    finished = failed < PATIENCE and len(ids) < limit
    return Round(removed=removed, failed=failed, last_id="" if finished else last_id)


def remove_file(sessions: Sessions, storage: Storage, scan_id: str, *, actor: Actor) -> bool:
    """Remove the files of one marked scan and record it; a failure is logged and left to the next round.

    Returns
    -------
    bool
        False when a file is still to be removed: storage or the database is away, or a worker reads it.
    """
    try:
        keys = _keys_to_remove(sessions, scan_id)
        if not keys:
            return False
        for key in keys:
            storage.delete(key)
            require_gone(storage, key)
        _note_removed(sessions, scan_id, actor=actor)
    except ServiceError as error:
        log.warning("scan_not_removed", scan_id=scan_id, code=error.code)
        return False
    except (OSError, DBAPIError) as error:
        log.warning("scan_not_removed", scan_id=scan_id, reason=type(error).__name__)
        return False
    return True


def _keys_to_remove(sessions: Sessions, scan_id: str) -> list[str]:
    """Return the names of a marked scan's files, its own last; none while a worker reads it."""
    marked = and_(ScanRow.id == scan_id, ScanRow.deleted_at.is_not(None), ~_is_read())
    explained = (
        select(ExplanationRow.prediction_id)
        .join(ExplanationRow.prediction)
        .where(PredictionRow.scan_id == scan_id)
        .order_by(ExplanationRow.prediction_id)
    )
    # Whether its file is noted or not: a worker may have been stopped between the two.
    normalised = select(NormalisedScanRow.version).where(NormalisedScanRow.scan_id == scan_id)
    with sessions() as session:
        scan = session.scalar(select(ScanRow).where(marked))
        if scan is None:
            return []
        made = [explanation_key(prediction_id) for prediction_id in session.scalars(explained)]
        for version in session.scalars(normalised):
            made += [normalised_figure_key(scan_id, version, name) for name in NORMALISED_FIGURES]
            made.append(normalised_key(scan_id, version))
        return [*made, *_own(scan)]


def _own(scan: ScanRow) -> list[str]:
    """Return the names of what was handed over and of the run that was made of it."""
    keys = [] if scan.leftover_key is None else [scan.leftover_key]
    if scan.packed:
        # As above: of a worker that was stopped before it was noted.
        keys.append(run_key(scan.id))
    return [*dict.fromkeys([*keys, scan.storage_key])]


def _is_read() -> ColumnElement[bool]:
    # None can begin any more: what may be claimed has a scan that is not marked.
    of_scan = PredictionRow.scan_id == ScanRow.id
    explained = exists().where(
        of_scan, ExplanationRow.prediction_id == PredictionRow.id, ExplanationRow.state.in_(EXPLAINING)
    )
    scored = exists().where(ScoreRow.scan_id == ScanRow.id, ScoreRow.state.in_(SCORING))
    return or_(exists().where(of_scan, PredictionRow.state.in_(RUNNING)), explained, scored)


def require_gone(storage: Storage, key: str) -> None:
    """Look for a file that was removed.

    Raises
    ------
    FileNotRemovedError
        If it is still there.
    """
    try:
        with storage.open_local(key):
            pass
    except StoredFileMissingError:
        return
    raise FileNotRemovedError


def _note_removed(sessions: Sessions, scan_id: str, *, actor: Actor) -> None:
    with sessions.begin() as session:
        scan = session.scalars(
            update(ScanRow)
            .where(ScanRow.id == scan_id, ScanRow.files_removed_at.is_(None))
            .values(files_removed_at=utc_now(), packed=False, leftover_key=None)
            .returning(ScanRow),
            execution_options={"synchronize_session": False, "populate_existing": True},
        ).one_or_none()
        if scan is None:
            # Another process did the same at the same time: one proof is enough.
            return
        # A worker that was still at it when the scan was marked may have said something since.
        forget_errors(session, scan_id)
        session.execute(delete(ScoreRow).where(ScoreRow.scan_id == scan_id))
        session.execute(delete(NormalisedScanRow).where(NormalisedScanRow.scan_id == scan_id))
        record(
            session,
            actor=actor,
            action="scan.files_removed",
            subject_kind="scan",
            subject_id=scan_id,
            details={
                "sha256": scan.sha256,
                "size_bytes": scan.size_bytes,
                "storage_key": scan.storage_key,
                "reason": scan.deleted_because,
            },
            organisation_id=scan.organisation_id,
        )
