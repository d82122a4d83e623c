"""What the administrator's routes have in common."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from sqlalchemy.orm import Session

from service.api.access.principal import Principal
from service.api.parameters import known_parameters_only
from service.api.problems.problem import problem_responses
from service.api.resources import Resources
from service.db.rows import ApiKeyRow, UserRow

Cursor = Annotated[str | None, Query(max_length=512)]
Limit = Annotated[int, Query(ge=1, le=200)]


def make_router() -> APIRouter:
    """Return a router of its own for some of the routes: figures and logs name a route by its whole path."""
    return APIRouter(
        prefix="/api/v1/admin",
        tags=["administration"],
        responses=problem_responses(401, 403, 422),
        dependencies=[Depends(known_parameters_only)],
    )


def note_list(
    session: Session,
    resources: Resources,
    principal: Principal,
    *,
    action: str,
    rows: Sequence[UserRow] | Sequence[ApiKeyRow],
) -> None:
    """Record that somebody was shown a page of a list, with the ids of its rows."""
    ids = [row.id for row in rows]
    kind = action.removesuffix(".list")
    resources.reads.note_list(session, principal.actor, action=action, subject_kind=kind, ids=ids)
