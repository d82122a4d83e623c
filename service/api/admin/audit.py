"""Who did and saw what."""

from typing import Annotated

from fastapi import Query
from sqlalchemy import select

from service.api.access.principals import AnyResources, AuditReader
from service.api.admin.common import Cursor, Limit, make_router
from service.api.cursor import decode_number, encode_number
from service.api.payloads import AuditEventResponse, AuditPage
from service.api.problems.problem import problem_responses
from service.db.rows import AuditEventRow

router = make_router()


@router.get("/audit", summary="Read the audit", responses=problem_responses(422))
def get_audit(
    principal: AuditReader,
    resources: AnyResources,
    subject_id: Annotated[str | None, Query(max_length=64, pattern=r"^[A-Za-z0-9-]+$")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AuditPage:
    """Return a page of what was done, newest first."""
    query = select(AuditEventRow)
    if subject_id is not None:
        query = query.where(AuditEventRow.subject_id == subject_id)
    if cursor is not None:
        query = query.where(AuditEventRow.sequence < decode_number(cursor))
    newest = query.order_by(AuditEventRow.sequence.desc()).limit(limit + 1)
    with resources.sessions_for(principal).open() as session:
        resources.reads.note(
            session,
            principal.actor,
            action="audit.read",
            subject_kind="audit",
            subject_id=subject_id or "list",
        )
        rows = session.scalars(newest).all()
    items = [
        AuditEventResponse(
            id=row.id,
            sequence=row.sequence,
            at=row.at,
            actor=row.actor,
            address=row.address,
            action=row.action,
            subject_kind=row.subject_kind,
            subject_id=row.subject_id,
            details=row.details,
            previous_hash=row.previous_hash,
            hash=row.hash,
        )
        for row in rows[:limit]
    ]
    more = encode_number(rows[limit - 1].sequence) if len(rows) > limit else None
    return AuditPage(items=items, next_cursor=more)
