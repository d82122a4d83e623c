"""Shadow mode: a version scores what another one answers, and nobody who asks for an answer is shown it."""

from enum import StrEnum

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from service.audit import record
from service.db.base import utc_now
from service.db.rows import ModelVersionRow, ShadowRow
from service.identity.actor import Actor
from service.registry.errors import ModelAlreadyActiveError, ModelNotInShadowError, ShadowTakenError
from service.registry.gate import require_runnable
from service.registry.history import active_model
from service.registry.reasons import checked_reason
from service.storage import Storage


class EndedBecause(StrEnum):
    """Why shadow mode ended."""

    REQUEST = "request"
    PROMOTION = "promotion"


def open_shadow(session: Session) -> ShadowRow | None:
    """Return the open row of the version in shadow, with the version; None where there is none."""
    query = select(ShadowRow).options(joinedload(ShadowRow.model_version)).where(ShadowRow.in_shadow)
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def newest_shadow(session: Session, version: ModelVersionRow) -> ShadowRow | None:
    """Return the last time in which a version was in shadow, or is; None where it never was."""
    query = (
        select(ShadowRow)
        .where(ShadowRow.model_version_id == version.id)
        .order_by(ShadowRow.started_at.desc(), ShadowRow.id.desc())
        .limit(1)
    )
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def begin_shadow(
    session: Session, storage: Storage, version: ModelVersionRow, *, actor: Actor, reason: str
) -> ShadowRow:
    """Put a version in shadow: from now on it scores every scan that is answered.

    The gate is asked only whether it runs here: what else it promises is about answers, and a shadow gives
    none.

    Parameters
    ----------
    session : Session
        Not committed.
    storage : Storage
        Its file is read through.
    version : ModelVersionRow
    actor : Actor
    reason : str
        Kept with the row and in the audit.

    Raises
    ------
    ReasonNotValidError
        If the reason is empty or too long.
    ModelAlreadyActiveError
        If it is the one that answers, also since a moment ago.
    ShadowTakenError
        If a version is in shadow already.
    CheckpointMissingError, CheckpointDamagedError, GateNotPassedError
        As :func:`service.registry.gate.require_runnable`.
    """
    said = checked_reason(reason)
    _require_not_answering(session, version)
    present = open_shadow(session)
    if present is not None:
        raise ShadowTakenError(found=present.model_version_id)
    require_runnable(storage, version)
    shadow = ShadowRow(model_version_id=version.id, actor=actor.name, reason=said)
    session.add(shadow)
    try:
        session.flush()
    except IntegrityError as error:
        # Of two at once the index lets one through.
        raise ShadowTakenError(found="another") from error
    # Reading the file took a while, in which the version may have come to answer.
    _take_turns(session, version)
    _require_not_answering(session, version)
    record(
        session,
        actor=actor,
        action="model.shadow",
        subject_kind="model_version",
        subject_id=version.id,
        details={"sha256": version.sha256, "shadow_id": shadow.id, "reason": said},
    )
    session.refresh(shadow)
    return shadow


def end_shadow(session: Session, version: ModelVersionRow, *, actor: Actor) -> ShadowRow:
    """Take a version out of shadow; what it still had to score is not scored any more.

    Raises
    ------
    ModelNotInShadowError
        If it is not in shadow.
    """
    ended = _end(session, version, actor=actor, because=EndedBecause.REQUEST)
    if ended is None:
        raise ModelNotInShadowError
    return ended


def end_at_promotion(session: Session, version: ModelVersionRow, *, actor: Actor) -> None:
    """Take a version that answers from now on out of shadow, if it is there; its deployment is flushed."""
    _take_turns(session, version)
    _end(session, version, actor=actor, because=EndedBecause.PROMOTION)


def _require_not_answering(session: Session, version: ModelVersionRow) -> None:
    champion = active_model(session)
    if champion is not None and champion.id == version.id:
        raise ModelAlreadyActiveError


def _take_turns(session: Session, version: ModelVersionRow) -> None:
    """Let one transaction at a time put a version in shadow or have it answer, until it commits.

    Both have written what they do by then, so whoever is second sees the first one's. SQLite has one writer
    anyway, and knows no such lock.
    """
    mine = select(ModelVersionRow.id).where(ModelVersionRow.id == version.id)
    session.execute(mine.with_for_update(key_share=True))


def _end(
    session: Session, version: ModelVersionRow, *, actor: Actor, because: EndedBecause
) -> ShadowRow | None:
    ended = session.scalars(
        update(ShadowRow)
        .where(ShadowRow.model_version_id == version.id, ShadowRow.in_shadow)
        .values(in_shadow=False, ended_at=utc_now(), ended_by=actor.name, ended_because=because.value)
        .returning(ShadowRow),
        execution_options={"synchronize_session": False, "populate_existing": True},
    ).one_or_none()
    if ended is not None:
        record(
            session,
            actor=actor,
            action="model.shadow_end",
            subject_kind="model_version",
            subject_id=version.id,
            details={"shadow_id": ended.id, "because": because.value},
        )
    return ended
