"""Putting a registered version in the place of the one that answers."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from service.audit import record
from service.db.restricted import OrganisationSession
from service.db.rows import ModelDeploymentRow, ModelVersionRow
from service.identity.actor import Actor
from service.registry.comparison import SAME_PREPROCESSING, judge_comparison
from service.registry.errors import (
    CheckpointDamagedError,
    CheckpointMissingError,
    GateNotPassedError,
    ModelAlreadyActiveError,
)
from service.registry.gate import FILE_INTACT, PREPROCESSING_UNCHANGED, judge_card, require_passed
from service.registry.history import active_model
from service.registry.intactness import require_intact
from service.registry.reasons import checked_reason
from service.registry.succession import Kind, seen_answering, succeed
from service.storage import Storage

_ON_PREPROCESSING = frozenset({PREPROCESSING_UNCHANGED, SAME_PREPROCESSING})


def promote(
    session: Session,
    storage: Storage,
    version: ModelVersionRow,
    *,
    actor: Actor,
    reason: str,
    expected_active: str | None = None,
    override_reason: str | None = None,
    new_preprocessing: bool = False,
) -> ModelDeploymentRow:
    """Let a version answer from now on; workers take it up with their next job.

    Nothing is changed before everything is judged, and then all of it in the caller's transaction. What the
    gate refuses is in the audit all the same: the caller's transaction is rolled back, and the event written
    in one of its own.

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
    new_preprocessing : bool
        Whether that reason also overrules those on preprocessing: only for who operates the service.

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
    try:
        # The gate's first rule: what is wrong with a file has codes of its own.
        require_intact(storage, version)
        compared = judge_comparison(session, version, champion=champion)
        rules = (*judge_card(version, champion=champion), *compared)
        if new_preprocessing:
            # What was compared and what was not yet: the one fact, found before a comparison or by it.
            rules = tuple(
                replace(rule, overridable=True) if rule.name in _ON_PREPROCESSING else rule for rule in rules
            )
        overridden = require_passed(rules, override_reason=override_reason)
    except GateNotPassedError as refusal:
        _record_refused(session, version, actor=actor, rules=[str(rule["name"]) for rule in refusal.rules])
        raise
    except (CheckpointMissingError, CheckpointDamagedError):
        _record_refused(session, version, actor=actor, rules=[FILE_INTACT])
        raise
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


def _record_refused(
    session: Session, version: ModelVersionRow, *, actor: Actor, rules: Sequence[str]
) -> None:
    version_id, sha256 = version.id, version.sha256
    organisation_id = session.organisation_id if isinstance(session, OrganisationSession) else None
    # What the caller has begun must not outlive the refusal, and what it holds not be waited for.
    session.rollback()
    with Session(session.get_bind()) as apart, apart.begin():
        record(
            apart,
            actor=actor,
            action="model.promotion_refused",
            subject_kind="model_version",
            subject_id=version_id,
            details={"sha256": sha256, "rules": list(rules)},
            organisation_id=organisation_id,
        )


def let_answer(
    session: Session, storage: Storage, version: ModelVersionRow, *, actor: Actor, reason: str
) -> ModelDeploymentRow | None:
    """Promote a version that somebody has chosen outside the service, unless it answers already.

    Whoever writes a setting or starts the first model has decided: what of the gate may be overruled is, and
    another preprocessing than that of the model before; the deployment says so.

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
    return promote(
        session,
        storage,
        version,
        actor=actor,
        reason=reason,
        override_reason=reason,
        new_preprocessing=True,
    )
