"""The same scan handed over again in an organisation: its file in template space is copied, not made again.

Copied and not shared, so that each goes with its own scan.
"""

import hashlib
from collections.abc import Callable

from sqlalchemy import select

from imaging.native.normalise import VERSION
from service.db.rows import NormalisedScanRow, ScanRow
from service.jobs import NormalisedFile
from service.storage import StoredFileDamagedError, StoredFileMissingError, normalised_key
from service.worker.normalised_figures import copy_figures
from service.worker.patience import entered
from service.worker.runtime import LARGEST_NORMALISED_BYTES, Runtime

_CHUNK_BYTES = 1 << 20


def copy_of_equal_scan(
    runtime: Runtime, scan: ScanRow, *, check: Callable[[], None]
) -> NormalisedFile | None:
    """Store a copy of what was made of the same bytes, of which the same was said.

    Parameters
    ----------
    runtime : Runtime
    scan : ScanRow
    check : callable
        Called again and again; it may raise.

    Returns
    -------
    NormalisedFile or None
        None where there is nothing to copy, or it is not what it was.
    """
    made = _made_of_the_same(runtime, scan)
    if made is None or made.storage_key is None or made.sha256 is None:
        return None
    digest, key = hashlib.sha256(), normalised_key(scan.id, VERSION)
    try:
        with (
            entered(runtime.storage.open_local(made.storage_key, compare=False), check=check) as path,
            path.open("rb") as file,
            runtime.storage.receive(max_bytes=LARGEST_NORMALISED_BYTES) as copy,
        ):
            while piece := file.read(_CHUNK_BYTES):
                check()
                digest.update(piece)
                copy.write(piece)
            if digest.hexdigest() != made.sha256:
                return None
            runtime.storage.promote(copy, key)
    except (StoredFileMissingError, StoredFileDamagedError):
        return None
    provenance = made.provenance or {}
    figures = copy_figures(
        runtime, made.scan_id, scan.id, VERSION, provenance.get("figures", {}), check=check
    )
    return NormalisedFile(
        version=VERSION,
        storage_key=key,
        sha256=made.sha256,
        size_bytes=made.size_bytes or 0,
        summary=made.summary or {},
        provenance={**provenance, "figures": figures},
        took_ms=made.took_ms or 0.0,
        known=made.known,
    )


def _made_of_the_same(runtime: Runtime, scan: ScanRow) -> NormalisedScanRow | None:
    query = (
        select(NormalisedScanRow, ScanRow)
        .join(ScanRow, ScanRow.id == NormalisedScanRow.scan_id)
        .where(
            ScanRow.organisation_id == scan.organisation_id,
            ScanRow.sha256 == scan.sha256,
            ScanRow.id != scan.id,
            ScanRow.deleted_at.is_(None),
            NormalisedScanRow.version == VERSION,
            NormalisedScanRow.finished_at.is_not(None),
        )
        .order_by(NormalisedScanRow.finished_at.desc())
        .limit(20)
    )
    with runtime.sessions() as session:
        found = session.execute(query).all()
    return next((made for made, other in found if _said(other) == _said(scan) and _by_all(made, other)), None)


def _by_all(made: NormalisedScanRow, scan: ScanRow) -> bool:
    """Whether nothing was missing: a scan that comes with its T1-weighted image again gets more of it."""
    came_with_t1w = scan.taken is not None and scan.taken["input"]["t1w_available"]
    return made.known is not None or not came_with_t1w


def _said(scan: ScanRow) -> tuple[object, ...]:
    return scan.slice_times_s, scan.tr_s, scan.slice_order, scan.run, scan.sidecar
