"""Adding a checkpoint: its bytes go to storage, its card to a row. It does not answer by that. No torch."""

import json
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from model.card import read_card, require_served
from model.errors import CheckpointCorruptError, CheckpointMismatchError
from service.audit import record
from service.db.rows import ModelVersionRow
from service.identity.actor import Actor
from service.registry.finite import find_non_finite
from service.storage import Storage, checkpoint_key

MAX_CHECKPOINT_BYTES = 1 << 34
_CHUNK_BYTES = 1 << 20
_LENGTH_BYTES = 8


def register(
    session: Session, storage: Storage, path: Path, *, actor: Actor, run_id: str | None = None
) -> ModelVersionRow:
    """Store a checkpoint, and add its row unless the same bytes are known; flushed, not committed.

    Bytes that are known are stored again, which heals a file that was lost or damaged.

    Parameters
    ----------
    session : Session
    storage : Storage
    path : Path
        A checkpoint file; it is copied.
    actor : Actor
        Who adds it.
    run_id : str or None
        The run of training that made it, for the audit; the run names what it has made.

    Raises
    ------
    CheckpointError
        If the file is no checkpoint, is of a method that cannot be served, or a weight of it is not finite.
        Whether its tensors are those of the
        networks that its card names takes torch: who can load it asks `model.checkpoint.load_checkpoint`
        before.
    """
    card = read_card(path)
    require_served(card)
    _require_whole(path)
    _require_finite(path)
    with storage.receive(max_bytes=MAX_CHECKPOINT_BYTES) as upload:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                upload.write(chunk)
        sha256 = upload.sha256
        key = checkpoint_key(sha256)
        storage.promote(upload, key)
    known = session.scalars(select(ModelVersionRow).where(ModelVersionRow.sha256 == sha256)).one_or_none()
    if known is not None:
        return known
    version = ModelVersionRow(
        name=card.name,
        version=card.version,
        sha256=sha256,
        storage_key=key,
        card=card.model_dump(mode="json"),
        added_by=actor.name,
    )
    session.add(version)
    session.flush()
    record(
        session,
        actor=actor,
        action="model.register",
        subject_kind="model_version",
        subject_id=version.id,
        details={"sha256": sha256} | ({} if run_id is None else {"training_run_id": run_id}),
    )
    return version


def _require_whole(path: Path) -> None:
    """Refuse a file that was cut short or goes on: its digest would vouch for that from here on."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        header = json.loads(file.read(length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    expected, found = _LENGTH_BYTES + length + max(ends, default=0), path.stat().st_size
    if found != expected:
        raise CheckpointCorruptError(name=path.name, found=f"{found} bytes where its header names {expected}")


def _require_finite(path: Path) -> None:
    """Refuse weights that are no numbers: they would fail every scan."""
    name = find_non_finite(path)
    if name is not None:
        raise CheckpointMismatchError(expected=f"finite weights in {name!r}", found="NaN or infinite values")
