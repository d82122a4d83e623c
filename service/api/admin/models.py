"""The checkpoints that the service knows, and which of them answers."""

from anyio import to_thread

from service.api.access.principals import AnyResources, ModelManager, ModelReader
from service.api.actions.registry import (
    list_deployments,
    list_models,
    promote_model,
    read_model,
    roll_back_model,
)
from service.api.admin.common import Cursor, Limit, make_router
from service.api.model_payloads import (
    DeploymentPage,
    ModelVersionDetail,
    ModelVersionPage,
    PromotionRequest,
    PromotionResponse,
    RollbackRequest,
    RollbackResponse,
)
from service.api.problems.problem import problem_responses

router = make_router()


@router.get("/models", summary="List model versions")
def get_models(
    principal: ModelReader, resources: AnyResources, cursor: Cursor = None, limit: Limit = 50
) -> ModelVersionPage:
    """Return a page of registered checkpoints with their cards, newest first; the active one answers."""
    with resources.sessions_for(principal).open() as session:
        return list_models(session, cursor=cursor, limit=limit)


# Before the route with an identifier, which it would be taken for.
@router.post(
    "/models/rollback", summary="Let the model before answer again", responses=problem_responses(400, 409)
)
def post_rollback(
    body: RollbackRequest, principal: ModelManager, resources: AnyResources
) -> RollbackResponse:
    """Go back to the version that answered before; versions whose files are gone are left out and named."""
    with resources.sessions_for(principal).open() as session:
        return roll_back_model(session, principal, resources.storage, body)


@router.get("/models/{model_id}", summary="Read a model version", responses=problem_responses(404))
async def get_model(model_id: str, principal: ModelReader, resources: AnyResources) -> ModelVersionDetail:
    """Return a checkpoint's card, the promotion gate's rules as they stand now, and when it answered."""

    def read() -> ModelVersionDetail:
        with resources.sessions_for(principal).open() as session:
            return read_model(session, resources.storage, model_id)

    return await to_thread.run_sync(read, limiter=resources.hashing)


@router.post(
    "/models/{model_id}/promote",
    summary="Let a model answer from now on",
    responses=problem_responses(400, 404, 409),
)
def post_promotion(
    model_id: str, body: PromotionRequest, principal: ModelManager, resources: AnyResources
) -> PromotionResponse:
    """Put a version in the place of the one that answers; predictions that are on their way keep theirs."""
    with resources.sessions_for(principal).open() as session:
        return promote_model(session, principal, resources.storage, model_id, body)


@router.get("/deployments", summary="List which model answered when")
def get_deployments(
    principal: ModelReader, resources: AnyResources, cursor: Cursor = None, limit: Limit = 50
) -> DeploymentPage:
    """Return a page of deployments, newest first; the open one answers now."""
    with resources.sessions_for(principal).open() as session:
        return list_deployments(session, cursor=cursor, limit=limit)
