"""What an account may have of a scan that was brought into template space: the file, and how it was made."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from sqlalchemy.orm import Session

from service import jobs
from service.api.access.principal import Principal
from service.api.actions.viewing import find_prediction
from service.api.problems.refusals import NotNormalisedError
from service.api.resources import Resources
from service.audit import ReadLog
from service.db.rows import NormalisedScanRow
from service.storage import NORMALISED_FIGURES, normalised_figure_key

_CHUNK_BYTES = 1 << 20


def read_provenance(
    session: Session, principal: Principal, prediction_id: str, *, reads: ReadLog
) -> dict[str, Any]:
    """Say how a scan was brought into template space, once the audit has the look.

    Raises
    ------
    PredictionNotFoundError
        If the account sees no such prediction.
    NotNormalisedError
        If its scan was not.
    """
    row = _normalised(session, principal, prediction_id, reads)
    return {
        "version": row.version,
        "sha256": row.sha256,
        "size_bytes": row.size_bytes,
        "summary": row.summary,
        "figures": figures_of(row, prediction_id),
        "provenance": row.provenance,
    }


def figures_of(row: NormalisedScanRow | None, prediction_id: str) -> list[dict[str, Any]]:
    """Say which figures there are of a scan in template space, and where a prediction's readers find them."""
    known = ((row.provenance if row else None) or {}).get("figures", {})
    return [
        {
            **known[name],
            "name": f"{name}.png",
            "link": f"/api/v1/predictions/{prediction_id}/normalised/figures/{name}.png",
        }
        for name in NORMALISED_FIGURES
        if name in known
    ]


def quality_of(row: NormalisedScanRow | None) -> dict[str, Any] | None:
    """Return what was measured of a scan on its way into template space; None where nothing was kept."""
    return ((row.provenance if row else None) or {}).get("quality")


def read_figure(resources: Resources, principal: Principal, prediction_id: str, name: str) -> bytes:
    """Give an account a figure, once the audit has the look.

    Parameters
    ----------
    resources : Resources
    principal : Principal
    prediction_id : str
    name : str
        Out of :data:`service.storage.NORMALISED_FIGURES`.

    Raises
    ------
    PredictionNotFoundError, NotNormalisedError
        As :func:`read_provenance`.
    StoredFileMissingError, StoredFileDamagedError, StorageUnavailableError, EncryptionKeyMissingError
        As storage has it; also missing of a scan that was brought there before there were figures.
    """
    with resources.sessions_for(principal).open() as session:
        row = _normalised(session, principal, prediction_id, resources.reads)
        key = normalised_figure_key(row.scan_id, row.version, name)
    # No connection to the database is held meanwhile.
    with resources.storage.open_local(key) as path:
        return path.read_bytes()


def open_normalised(resources: Resources, principal: Principal, prediction_id: str) -> Iterator[bytes]:
    """Open the file in template space, once the audit has the look; it is read piece by piece.

    Raises
    ------
    PredictionNotFoundError, NotNormalisedError
        As :func:`read_provenance`.
    StoredFileMissingError, StoredFileDamagedError, StorageUnavailableError, EncryptionKeyMissingError
        As storage has it.
    """
    with resources.sessions_for(principal).open() as session:
        key = _normalised(session, principal, prediction_id, resources.reads).storage_key
    if key is None:
        raise NotNormalisedError
    # No connection to the database is held meanwhile; whatever storage refuses it refuses before the answer
    # begins.
    held = ExitStack()
    path = held.enter_context(resources.storage.open_local(key))
    file = held.enter_context(path.open("rb"))

    def pieces() -> Iterator[bytes]:
        with held:
            while piece := file.read(_CHUNK_BYTES):
                yield piece

    return pieces()


def _normalised(
    session: Session, principal: Principal, prediction_id: str, reads: ReadLog
) -> NormalisedScanRow:
    prediction = find_prediction(session, principal, prediction_id)
    row = jobs.normalised_of(session, prediction.scan_id)
    if row is None or row.finished_at is None:
        raise NotNormalisedError
    reads.note(
        session,
        principal.actor,
        action="normalised_scan.read",
        subject_kind="prediction",
        subject_id=prediction.id,
    )
    return row
