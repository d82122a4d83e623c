"""One deployment after another: the moment in which the model that answers changes."""

from enum import StrEnum
from typing import Any

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.db.base import utc_now
from service.db.rows import ModelDeploymentRow, ModelVersionRow
from service.identity.actor import Actor
from service.registry.errors import PromotionConflictError
from service.registry.history import open_deployment
from service.registry.shadowing import end_at_promotion

NO_MODEL = "none"
"""What stands where the identifier of the answering version would, when none answers."""


class Kind(StrEnum):
    """How a version came to answer."""

    FIRST = "first"
    PROMOTION = "promotion"
    ROLLBACK = "rollback"


def seen_answering(session: Session, *, expected_active: str | None) -> ModelDeploymentRow | None:
    """Return the open deployment, which has to be the one that whoever decides had seen.

    Parameters
    ----------
    session : Session
    expected_active : str or None
        Identifier of the version that they saw answering, or `NO_MODEL`; None where they did not look.

    Raises
    ------
    PromotionConflictError
        If another one answers meanwhile.
    """
    current = open_deployment(session)
    found = _named(current)
    if expected_active is not None and expected_active != found:
        raise PromotionConflictError(expected=expected_active, found=found)
    return current


def succeed(
    session: Session,
    replaced: ModelDeploymentRow | None,
    version: ModelVersionRow,
    *,
    kind: Kind,
    actor: Actor,
    reason: str | None,
    overridden: dict[str, Any] | None = None,
) -> ModelDeploymentRow:
    """End a deployment and begin the next, if it is still the open one; flushed, not committed.

    Whoever answers is not in shadow any more.

    Raises
    ------
    PromotionConflictError
        If somebody else was faster. The transaction is to be rolled back.
    """
    following = ModelDeploymentRow(
        number=1 if replaced is None else replaced.number + 1,
        model_version_id=version.id,
        kind=kind.value,
        actor=actor.name,
        reason=reason,
        overridden=overridden,
    )
    if replaced is not None:
        following.started_at = _end(session, replaced)
    session.add(following)
    try:
        session.flush()
    except IntegrityError as error:
        # Before the first one there is no row to take turns at: the index decides.
        raise PromotionConflictError(expected=_named(replaced), found="another") from error
    end_at_promotion(session, version, actor=actor)
    session.refresh(following, ["started_at", "model_version"])
    return following


def _end(session: Session, deployment: ModelDeploymentRow) -> Any:
    """Close the open deployment; gives the moment, in which the next one begins."""
    # A condition and not a look before: of two at once the second waits here, and then finds it closed.
    ended_at = session.execute(
        update(ModelDeploymentRow)
        .where(ModelDeploymentRow.id == deployment.id, ModelDeploymentRow.answering)
        .values(answering=False, ended_at=utc_now())
        .returning(ModelDeploymentRow.ended_at),
        execution_options={"synchronize_session": False},
    ).scalar_one_or_none()
    if ended_at is None:
        expected = _named(deployment)
        raise PromotionConflictError(expected=expected, found=_named(open_deployment(session)))
    session.expire(deployment, ["answering", "ended_at"])
    return ended_at


def _named(deployment: ModelDeploymentRow | None) -> str:
    return NO_MODEL if deployment is None else deployment.model_version_id
