"""Going back to the version that answered before."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy.orm import Session

from service.audit import record
from service.db.rows import ModelDeploymentRow, ModelVersionRow
from service.identity.actor import Actor
from service.registry.errors import (
    CheckpointDamagedError,
    CheckpointMissingError,
    NoActiveModelError,
    NothingToRollBackToError,
)
from service.registry.history import deployments
from service.registry.intactness import require_intact
from service.registry.reasons import checked_reason
from service.registry.succession import Kind, seen_answering, succeed
from service.storage import EncryptionKeyMissingError, Storage


@dataclass(frozen=True)
class Skipped:
    """An earlier version that cannot answer again, and the code of what is wrong with its file."""

    model_version_id: str
    name: str
    version: str
    code: str


@dataclass(frozen=True)
class RolledBack:
    """The deployment that began, and the versions that were passed over on the way to it."""

    deployment: ModelDeploymentRow
    skipped: tuple[Skipped, ...]


def roll_back(
    session: Session,
    storage: Storage,
    *,
    actor: Actor,
    reason: str,
    expected_active: str | None = None,
) -> RolledBack:
    """Let the version answer again that did before the one that answers.

    Of the gate only one thing is asked, whether its file is intact: it has answered before, and whoever rolls
    back is in a hurry. Versions whose file is not, or is encrypted with a key that is gone, are passed over.

    Parameters
    ----------
    session : Session
        Not committed.
    storage : Storage
    actor : Actor
    reason : str
        Kept with the deployment and in the audit.
    expected_active : str or None
        As :func:`service.registry.promote` takes it.

    Raises
    ------
    NoActiveModelError
        If none answers.
    NothingToRollBackToError
        If none answered before, or none of those can answer again.
    PromotionConflictError, ReasonNotValidError
        As :func:`service.registry.promote`.
    """
    said = checked_reason(reason)
    replaced = seen_answering(session, expected_active=expected_active)
    if replaced is None:
        raise NoActiveModelError
    version, skipped = _first_intact(storage, earlier_versions(deployments(session)))
    deployment = succeed(session, replaced, version, kind=Kind.ROLLBACK, actor=actor, reason=said)
    record(
        session,
        actor=actor,
        action="model.rollback",
        subject_kind="model_version",
        subject_id=version.id,
        details={
            "sha256": version.sha256,
            "replaced": replaced.model_version_id,
            "reason": said,
            "skipped": [asdict(one) for one in skipped],
        },
    )
    return RolledBack(deployment, skipped)


def earlier_versions(newest_first: Sequence[ModelDeploymentRow]) -> list[ModelVersionRow]:
    """Say what a rollback would go back to, the nearest first.

    A rollback undoes what it goes back over: after A, B, C and a rollback to B the next one leads to A and
    not to C, which somebody has just taken away.
    """
    standing: list[ModelVersionRow] = []
    for deployment in reversed(newest_first):
        version = deployment.model_version
        if deployment.kind == Kind.ROLLBACK:
            while standing and standing[-1].id != version.id:
                standing.pop()
        if not standing or standing[-1].id != version.id:
            standing.append(version)
    answering = standing[-1] if standing else None
    return [version for version in reversed(standing) if answering and version.id != answering.id]


def _first_intact(
    storage: Storage, versions: Sequence[ModelVersionRow]
) -> tuple[ModelVersionRow, tuple[Skipped, ...]]:
    skipped: list[Skipped] = []
    for version in versions:
        try:
            require_intact(storage, version)
        except (CheckpointMissingError, CheckpointDamagedError, EncryptionKeyMissingError) as error:
            skipped.append(Skipped(version.id, version.name, version.version, error.code))
        else:
            return version, tuple(skipped)
    raise NothingToRollBackToError(skipped=[asdict(one) for one in skipped])
