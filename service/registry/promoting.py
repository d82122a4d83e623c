"""Putting a registered version in the place of the one that answers."""

from sqlalchemy.orm import Session

from service.audit import record
from service.db.rows import ModelDeploymentRow, ModelVersionRow
from service.identity.actor import Actor
from service.registry.comparison import judge_comparison
from service.registry.errors import ModelAlreadyActiveError
from service.registry.gate import judge_card, require_passed
from service.registry.history import active_model
from service.registry.intactness import require_intact
from service.registry.reasons import checked_reason
from service.registry.succession import Kind, seen_answering, succeed
from service.storage import Storage


def promote(
    session: Session,
    storage: Storage,
    version: ModelVersionRow,
    *,
    actor: Actor,
    reason: str,
    expected_active: str | None = None,
    override_reason: str | None = None,
) -> ModelDeploymentRow:
    """Let a version answer from now on; workers take it up with their next job.

    Nothing is changed before everything is judged, and then all of it in the caller's transaction.

    Parameters
    ----------
    session : Session
        Not committed.
    storage : Storage
        Its file is read through.
    version : ModelVersionRow
    actor : Actor
    reason : str
        Kept with the deployment and in the audit.
    expected_active : str or None
        Identifier of the version that the actor saw answering, or `NO_MODEL`; None where they did not look.
    override_reason : str or None
        Why rules of the gate that fail shall not matter.

    Raises
    ------
    PromotionConflictError
        If another version answers than the actor saw, or somebody else was faster.
    ModelAlreadyActiveError
        If it answers already.
    ReasonNotValidError
        If one of the reasons is too short or too long.
    CheckpointMissingError, CheckpointDamagedError
        If its file is gone, or not the one that was registered.
    GateNotPassedError
        If rules fail, and cannot be or were not overruled.
    """
    said = checked_reason(reason)
    replaced = seen_answering(session, expected_active=expected_active)
    champion = None if replaced is None else replaced.model_version
    if champion is not None and champion.id == version.id:
        raise ModelAlreadyActiveError
    # The gate's first rule: what is wrong with a file has codes of its own.
    require_intact(storage, version)
    rules = (*judge_card(version, champion=champion), *judge_comparison(session, version, champion=champion))
    overridden = require_passed(rules, override_reason=override_reason)
    deployment = succeed(
        session,
        replaced,
        version,
        kind=Kind.PROMOTION if champion else Kind.FIRST,
        actor=actor,
        reason=said,
        overridden=overridden,
    )
    record(
        session,
        actor=actor,
        action="model.promote",
        subject_kind="model_version",
        subject_id=version.id,
        details={
            "sha256": version.sha256,
            "replaced": champion.id if champion else None,
            "reason": said,
            "overridden": overridden,
        },
    )
    return deployment


def let_answer(
    session: Session, storage: Storage, version: ModelVersionRow, *, actor: Actor, reason: str
) -> ModelDeploymentRow | None:
    """Promote a version that somebody has chosen outside the service, unless it answers already.

    Whoever writes a setting or starts the first model has decided: what of the gate may be overruled is, and
    the deployment says so.

    Returns
    -------
    ModelDeploymentRow or None
        None where it answered already.

    Raises
    ------
    CheckpointMissingError, CheckpointDamagedError, GateNotPassedError, PromotionConflictError
        As :func:`promote`.
    """
    champion = active_model(session)
    if champion is not None and champion.id == version.id:
        return None
    return promote(session, storage, version, actor=actor, reason=reason, override_reason=reason)
