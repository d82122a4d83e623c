"""Scoring earlier scans with another model, as an account may: asked for, followed, cancelled, compared."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from service import registry, scoring
from service.api.access.principal import Principal
from service.api.actions.naming import names_of
from service.api.actions.scores_compared import compare_scores, list_changed
from service.api.actions.shadowing import counts_response
from service.api.actions.viewing import row_id
from service.api.cursor import encode_cursor, newest_first
from service.api.scoring_payloads import (
    ChangedPage,
    ComparisonResponse,
    RescorePage,
    RescorePreview,
    RescoreRequest,
    RescoreResponse,
)
from service.audit import ReadLog
from service.db.rows import ModelVersionRow, RescoreRow
from service.storage import Storage


def preview_rescore(session: Session, extent: scoring.Extent) -> RescorePreview:
    """Say how many scans a batch would score now."""
    return RescorePreview(scans=scoring.count_answered(session, extent))


def begin_rescore(
    session: Session, principal: Principal, storage: Storage, asked: RescoreRequest
) -> RescoreResponse:
    """Begin a batch, and commit; a worker queues its scores within seconds.

    Raises
    ------
    ModelNotFoundError
        If there is no such version.
    ServiceError
        Whatever :func:`service.scoring.begin_rescore` refuses.
    """
    batch = scoring.begin_rescore(
        session,
        storage,
        registry.require_version(session, row_id(asked.model_version_id)),
        scoring.Extent(asked.since, asked.until, asked.limit),
        actor=principal.actor,
        reason=asked.reason,
    )
    [shown] = _batches(session, [batch])
    session.commit()
    return shown


def list_rescores(
    session: Session, *, cursor: str | None, limit: int, model_id: str | None = None
) -> RescorePage:
    """Show a page of batches, newest first, of one model if asked so.

    Raises
    ------
    FieldsNotValidError
        If the cursor is none.
    """
    version = joinedload(RescoreRow.model_version).defer(ModelVersionRow.card)
    query = select(RescoreRow).options(version)
    if model_id is not None:
        query = query.where(RescoreRow.model_version_id == row_id(model_id))
    paged = newest_first(query, RescoreRow.created_at, RescoreRow.id, cursor=cursor, limit=limit)
    rows = session.scalars(paged).all()
    shown = rows[:limit]
    more = encode_cursor(shown[-1].created_at, shown[-1].id) if len(rows) > limit else None
    return RescorePage(items=_batches(session, shown), next_cursor=more)


def read_rescore(session: Session, rescore_id: str) -> RescoreResponse:
    """Say where a batch stands.

    Raises
    ------
    RescoreNotFoundError
        If there is none.
    """
    [shown] = _batches(session, [scoring.require_rescore(session, row_id(rescore_id))])
    return shown


def cancel_rescore(session: Session, principal: Principal, rescore_id: str) -> RescoreResponse:
    """Cancel a batch, and commit.

    Raises
    ------
    RescoreNotFoundError, RescoreOverError
    """
    batch = scoring.require_rescore(session, row_id(rescore_id))
    [shown] = _batches(session, [scoring.cancel_rescore(session, batch, actor=principal.actor)])
    session.commit()
    return shown


def compare_rescore(session: Session, rescore_id: str) -> ComparisonResponse:
    """Say what would have changed by the scores that a batch has so far; ends the session.

    Raises
    ------
    RescoreNotFoundError
        If there is none.
    """
    return compare_scores(session, scoring.require_rescore(session, row_id(rescore_id)))


def list_changed_by_rescore(
    session: Session, principal: Principal, rescore_id: str, *, cursor: str | None, limit: int, reads: ReadLog
) -> ChangedPage:
    """List the predictions that a batch decided otherwise.

    Raises
    ------
    RescoreNotFoundError
        If there is none.
    """
    cause = scoring.require_rescore(session, row_id(rescore_id))
    return list_changed(session, principal, cause, cursor=cursor, limit=limit, reads=reads)


def _batches(session: Session, rows: Sequence[RescoreRow]) -> list[RescoreResponse]:
    names = names_of(session, {row.actor for row in rows})
    standings = scoring.standings(session, rescore_ids=[row.id for row in rows])
    return [
        RescoreResponse(
            id=row.id,
            model_version_id=row.model_version_id,
            model_name=row.model_version.name,
            model_version=row.model_version.version,
            status=row.state,
            since=row.since,
            until=row.until,
            n_asked=row.n_asked,
            n_queued=row.n_queued,
            progress=min(standings[row.id].ended / row.n_asked, 1.0),
            scores=counts_response(standings[row.id]),
            by=names.get(row.actor),
            reason=row.reason,
            created_at=row.created_at,
            ended_at=row.ended_at,
        )
        for row in rows
    ]
