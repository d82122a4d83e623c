"""``/api/v1/admin``: the organisation's accounts, API keys and audit, and the model versions."""

from fastapi import APIRouter, Depends

from service.api.admin import audit, keys, models, users
from service.api.parameters import known_parameters_only
from service.api.problems.problem import problem_responses

router = APIRouter(
    prefix="/api/v1/admin",
    tags=["administration"],
    responses=problem_responses(401, 403, 422),
    dependencies=[Depends(known_parameters_only)],
)
for part in (users, keys, models, audit):
    router.include_router(part.router)
