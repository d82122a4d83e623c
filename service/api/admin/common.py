"""What the administrator's routes have in common."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from service.api.parameters import known_parameters_only
from service.api.problems.problem import problem_responses

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
