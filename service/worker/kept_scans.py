"""Which stored file a model reads of a scan: the scan's own, or the one that is kept in template space."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy.orm import Session

from imaging import PreparedScan
from imaging.native.normalise import VERSION
from imaging.native.preparing import as_native
from service import jobs
from service.db.rows import NormalisedScanRow, ScanRow
from service.storage import Storage, StoredFileDamagedError, StoredFileMissingError
from service.worker.patience import entered
from service.worker.reading import StoredFileChangedError

# What a file in template space can be made again after.
LOST = (StoredFileMissingError, StoredFileDamagedError, StoredFileChangedError)


def kept_of(session: Session, scan_id: str) -> NormalisedScanRow | None:
    """Read what is kept of a scan in template space, where this version of the pipeline made it."""
    kept = jobs.normalised_of(session, scan_id)
    if kept is None or kept.finished_at is None or kept.version != VERSION:
        return None
    return kept


def lies_elsewhere(session: Session, scan: ScanRow) -> bool:
    """Whether a scan is known to lie in the scanner's space: no model reads anything of it as it is."""
    return scan.packed or scan.taken is not None or jobs.normalised_of(session, scan.id) is not None


def fetched_to_read(
    storage: Storage, scan: ScanRow, kept: NormalisedScanRow | None, *, check: Callable[[], None]
) -> AbstractContextManager[Path]:
    """Fetch the file that a model reads; whoever reads it compares it with :func:`stored_sha256`."""
    key = scan.storage_key if kept is None or kept.storage_key is None else kept.storage_key
    return entered(storage.open_local(key, compare=False), check=check)


def stored_sha256(scan: ScanRow, kept: NormalisedScanRow | None) -> str:
    """Return the digest of the file that a model reads."""
    if kept is not None and kept.sha256 is not None:
        return kept.sha256
    return scan.stored_sha256 or scan.sha256


def as_kept(prepared: PreparedScan, kept: NormalisedScanRow) -> PreparedScan:
    """Say of a scan that was prepared from its file in template space which scan it is."""
    source = (kept.provenance or {})["source"]
    return as_native(
        prepared,
        scan={"name": prepared.scan["name"], **source},
        summary=kept.summary or {},
        took_ms=kept.took_ms or 0.0,
    )
