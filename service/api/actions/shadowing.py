"""Putting a model in shadow, taking it out and looking at what it scored, as an account may."""

from sqlalchemy.orm import Session

from service import registry, scoring
from service.api.access.principal import Principal
from service.api.actions.naming import names_of
from service.api.actions.scores_compared import compare_scores, list_changed
from service.api.actions.viewing import row_id
from service.api.scoring_payloads import (
    ChangedPage,
    ComparisonResponse,
    ScoreCounts,
    ShadowRequest,
    ShadowResponse,
    ShadowStanding,
)
from service.audit import ReadLog
from service.db.rows import ShadowRow
from service.storage import Storage


def begin_shadow(
    session: Session, principal: Principal, storage: Storage, model_id: str, asked: ShadowRequest
) -> ShadowResponse:
    """Put a model in shadow, and commit.

    Raises
    ------
    ModelNotFoundError
        If there is no such version.
    ServiceError
        Whatever :func:`service.registry.begin_shadow` refuses.
    """
    shadow = registry.begin_shadow(
        session,
        storage,
        registry.require_version(session, row_id(model_id)),
        actor=principal.actor,
        reason=asked.reason,
    )
    shown = _shadow(session, shadow)
    session.commit()
    return shown


def end_shadow(session: Session, principal: Principal, model_id: str) -> ShadowResponse:
    """Take a model out of shadow, and commit.

    Raises
    ------
    ModelNotFoundError, ModelNotInShadowError
    """
    version = registry.require_version(session, row_id(model_id))
    shown = _shadow(session, registry.end_shadow(session, version, actor=principal.actor))
    session.commit()
    return shown


def read_shadow(session: Session, model_id: str) -> ShadowStanding:
    """Say whether a model is in shadow, or when it was last.

    Raises
    ------
    ModelNotFoundError
        If there is no such version.
    """
    shadow = _newest(session, model_id)
    return ShadowStanding(shadow=None if shadow is None else _shadow(session, shadow))


def compare_shadow(session: Session, model_id: str) -> ComparisonResponse:
    """Say what would have changed with a model the last time that it was in shadow; ends the session.

    Raises
    ------
    ModelNotFoundError
        If there is no such version.
    ModelNotInShadowError
        If it never was.
    """
    return compare_scores(session, _ever(session, model_id))


def list_changed_in_shadow(
    session: Session, principal: Principal, model_id: str, *, cursor: str | None, limit: int, reads: ReadLog
) -> ChangedPage:
    """List the predictions that a model in shadow decided otherwise; raises as :func:`compare_shadow`."""
    cause = _ever(session, model_id)
    return list_changed(session, principal, cause, cursor=cursor, limit=limit, reads=reads)


def counts_response(standing: scoring.Standing) -> ScoreCounts:
    """Describe where scores stand."""
    return ScoreCounts(**standing.by_state, failed_by_code=standing.failed_by_code)


def _newest(session: Session, model_id: str) -> ShadowRow | None:
    return registry.newest_shadow(session, registry.require_version(session, row_id(model_id)))


def _ever(session: Session, model_id: str) -> ShadowRow:
    shadow = _newest(session, model_id)
    if shadow is None:
        raise registry.ModelNotInShadowError
    return shadow


def _shadow(session: Session, row: ShadowRow) -> ShadowResponse:
    names = names_of(session, {actor for actor in (row.actor, row.ended_by) if actor})
    return ShadowResponse(
        id=row.id,
        model_version_id=row.model_version_id,
        started_at=row.started_at,
        ended_at=row.ended_at,
        ended_because=row.ended_because,
        by=names.get(row.actor),
        ended_by=names.get(row.ended_by or ""),
        reason=row.reason,
        scores=counts_response(scoring.shadow_standing(session, row.id)),
    )
