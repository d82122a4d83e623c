"""Shadow mode: a model scores what another answers, and its scores are kept apart."""

from service.api.access.principals import AnyResources, ModelManager
from service.api.actions.shadowing import (
    begin_shadow,
    compare_shadow,
    end_shadow,
    list_changed_in_shadow,
    read_shadow,
)
from service.api.admin.common import Cursor, Limit, make_router
from service.api.problems.problem import problem_responses
from service.api.scoring_payloads import (
    ChangedPage,
    ComparisonResponse,
    ShadowRequest,
    ShadowResponse,
    ShadowStanding,
)

router = make_router()


@router.get(
    "/models/{model_id}/shadow",
    summary="Read whether a model is in shadow",
    responses=problem_responses(404),
)
def get_shadow(model_id: str, principal: ModelManager, resources: AnyResources) -> ShadowStanding:
    """Return the last time that a model was in shadow, or is, with where its scores stand."""
    with resources.sessions_for(principal).open() as session:
        return read_shadow(session, model_id)


@router.post(
    "/models/{model_id}/shadow",
    status_code=201,
    summary="Put a model in shadow",
    responses=problem_responses(400, 404, 409),
)
def post_shadow(
    model_id: str, body: ShadowRequest, principal: ModelManager, resources: AnyResources
) -> ShadowResponse:
    """Let a model score every scan that is answered from now on; at most one model is in shadow."""
    with resources.sessions_for(principal).open() as session:
        return begin_shadow(session, principal, resources.storage, model_id, body)


@router.post(
    "/models/{model_id}/shadow/end",
    summary="Take a model out of shadow",
    responses=problem_responses(404, 409),
)
def post_end(model_id: str, principal: ModelManager, resources: AnyResources) -> ShadowResponse:
    """End shadow mode; scores that are there stay, those that wait are cancelled."""
    with resources.sessions_for(principal).open() as session:
        return end_shadow(session, principal, model_id)


@router.get(
    "/models/{model_id}/shadow/comparison",
    summary="Read what a model in shadow would have changed",
    responses=problem_responses(404, 409),
)
def get_comparison(model_id: str, principal: ModelManager, resources: AnyResources) -> ComparisonResponse:
    """Return figures of all organisations: each prediction as it was answered, beside this model."""
    with resources.sessions_for(principal).open() as session:
        return compare_shadow(session, model_id)


@router.get(
    "/models/{model_id}/shadow/changes",
    summary="List the predictions that a model in shadow decided otherwise",
    responses=problem_responses(404, 409),
)
def get_changes(
    model_id: str,
    principal: ModelManager,
    resources: AnyResources,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ChangedPage:
    """Return a page of the account's own organisation, newest first."""
    with resources.sessions_for(principal).open() as session:
        return list_changed_in_shadow(
            session, principal, model_id, cursor=cursor, limit=limit, reads=resources.reads
        )
