"""Registers checkpoints: their bytes go to storage, their card to a row. Loads no torch."""

from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from model.card import read_card
from service.audit import record
from service.db.rows import ModelVersionRow
from service.identity.actor import Actor, program
from service.storage import Storage, checkpoint_key

MAX_CHECKPOINT_BYTES = 1 << 34
_CHUNK_BYTES = 1 << 20


def register_checkpoint(
    session: Session, storage: Storage, path: Path, *, actor: Actor | None = None
) -> ModelVersionRow:
    """Store a checkpoint, add its row unless the same bytes are known, and make it the active version.

    Parameters
    ----------
    path : Path
        A checkpoint file; it is copied.
    actor : Actor, optional
        For the audit; without one, the process that starts the service.

    Raises
    ------
    CheckpointError
        If the file is no checkpoint.
    """
    version = _known(session, storage, path, actor=actor)
    if not version.active:
        session.execute(
            update(ModelVersionRow).where(ModelVersionRow.active.is_(True)).values(active=False),
            execution_options={"synchronize_session": "fetch"},
        )
        version.active = True
        _record(session, version, actor, action="model.activate")
    session.flush()
    return version


def register_run(
    session: Session, storage: Storage, path: Path, run_id: str, actor: Actor | None = None
) -> ModelVersionRow:
    """Store the checkpoint of a training run, and add its row as a challenger: what answers stays.

    Parameters
    ----------
    path : Path
        As :func:`register_checkpoint`.
    run_id : str
        Of the run that it comes from.
    actor : Actor, optional

    Raises
    ------
    CheckpointError
        If the file is no checkpoint.
    """
    return _known(session, storage, path, actor=actor, run_id=run_id)


def _known(
    session: Session, storage: Storage, path: Path, *, actor: Actor | None, run_id: str | None = None
) -> ModelVersionRow:
    """Store a checkpoint, and add its row unless the same bytes are known."""
    card = read_card(path)
    with storage.receive(max_bytes=MAX_CHECKPOINT_BYTES) as upload:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                upload.write(chunk)
        sha256 = upload.sha256
        key = checkpoint_key(sha256)
        storage.promote(upload, key)
    version = session.scalars(select(ModelVersionRow).where(ModelVersionRow.sha256 == sha256)).one_or_none()
    if version is None:
        version = ModelVersionRow(
            name=card.name,
            version=card.version,
            sha256=sha256,
            storage_key=key,
            card=card.model_dump(mode="json"),
        )
        session.add(version)
        session.flush()
        _record(session, version, actor, action="model.register", run_id=run_id)
    return version


def active_model(session: Session) -> ModelVersionRow | None:
    """Return the version that answers; None before the first registration."""
    return session.scalars(select(ModelVersionRow).where(ModelVersionRow.active.is_(True))).one_or_none()


def _record(
    session: Session,
    version: ModelVersionRow,
    actor: Actor | None,
    *,
    action: str,
    run_id: str | None = None,
) -> None:
    origin = {} if run_id is None else {"training_run_id": run_id}
    record(
        session,
        actor=actor or program("serve"),
        action=action,
        subject_kind="model_version",
        subject_id=version.id,
        details={"sha256": version.sha256, **origin},
    )
