"""Removes files that no scan has: left by a crash before the row, or put back after a removal."""

import re
from collections.abc import Sequence

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, sessionmaker

from service.db.rows import ExplanationRow, NormalisedScanRow, PredictionRow, ScanRow
from service.logs import get_logger
from service.storage import EXPLANATIONS, NORMALISED, SCANS, Storage, discard, drawn_of, explanation_key

# A file this old whose row is still missing will not get one any more, in seconds.
ORPHAN_S = 3600
# Keys a query; SQLite takes no more than 999 parameters where it was built so.
_BATCH = 500
_EXPLANATION = re.compile(rf"{EXPLANATIONS}/../([0-9a-f-]{{36}})\.zip")

log = get_logger(__name__)


def remove_orphans(
    sessions: sessionmaker[Session], storage: Storage, *, older_than_s: float = ORPHAN_S
) -> int:
    """Remove the files that are old enough and belong to no scan, or to one whose files were removed.

    What a marked scan still has is left to :mod:`service.retention`, which proves that it is gone.

    Returns
    -------
    int
        How many files. None are removed for a database that never knew a scan: it is more likely the wrong
        one, an empty one beside a full storage, than the only one left by a crash.
    """
    old = [
        file.key
        for prefix in (SCANS, EXPLANATIONS, NORMALISED)
        for file in storage.stored(prefix)
        if file.age_s > older_than_s
    ]
    removed = 0
    for start in range(0, len(old), _BATCH):
        orphans = _without_a_scan(sessions, old[start : start + _BATCH])
        for key in orphans:
            discard(storage, key)
        removed += len(orphans)
    if removed:
        log.warning("orphans_removed", files=removed)
    return removed


def _without_a_scan(sessions: sessionmaker[Session], keys: Sequence[str]) -> list[str]:
    with sessions() as session:
        if not session.scalar(select(exists(select(ScanRow.id)))):
            log.warning("orphans_left", files=len(keys), reason="the database knows of no scan at all")
            return []
        kept = ScanRow.files_removed_at.is_(None)
        named = set(session.scalars(select(ScanRow.storage_key).where(ScanRow.storage_key.in_(keys), kept)))
        # A figure stays as long as the file that it was drawn of.
        files = {key: drawn_of(key) for key in keys}
        normalised = (
            select(NormalisedScanRow.storage_key)
            .join(ScanRow, ScanRow.id == NormalisedScanRow.scan_id)
            .where(NormalisedScanRow.storage_key.in_(files.values()), kept)
        )
        named.update(key for key in session.scalars(normalised) if key is not None)
        predictions = [match[1] for match in map(_EXPLANATION.fullmatch, keys) if match]
        explained = (
            select(ExplanationRow.prediction_id)
            .join(ExplanationRow.prediction)
            .join(PredictionRow.scan)
            .where(ExplanationRow.prediction_id.in_(predictions), kept)
        )
        named.update(map(explanation_key, session.scalars(explained)))
    return [key for key in keys if key not in named and files[key] not in named]
