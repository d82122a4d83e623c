"""Batches: one model over earlier scans, and what would have changed."""

from typing import Annotated

from fastapi import Query

from service.api.access.principals import AnyResources, ModelManager
from service.api.actions.rescoring import (
    begin_rescore,
    cancel_rescore,
    compare_rescore,
    list_changed_by_rescore,
    list_rescores,
    preview_rescore,
    read_rescore,
)
from service.api.admin.common import Cursor, Limit, make_router
from service.api.moments import Moment
from service.api.problems.problem import problem_responses
from service.api.scoring_payloads import (
    MAX_LIMIT,
    ChangedPage,
    ComparisonResponse,
    RescorePage,
    RescorePreview,
    RescoreRequest,
    RescoreResponse,
)
from service.scoring import Extent

Newest = Annotated[int | None, Query(ge=1, le=MAX_LIMIT)]

router = make_router()


@router.post(
    "/rescores",
    status_code=202,
    summary="Score earlier scans with a model",
    responses=problem_responses(400, 404, 409),
)
def post_rescore(body: RescoreRequest, principal: ModelManager, resources: AnyResources) -> RescoreResponse:
    """Begin a batch over answered scans of all organisations that are still stored; one at a time a model."""
    with resources.sessions_for(principal).open() as session:
        return begin_rescore(session, principal, resources.storage, body)


@router.get("/rescores", summary="List batches of scores")
def get_rescores(
    principal: ModelManager, resources: AnyResources, cursor: Cursor = None, limit: Limit = 50
) -> RescorePage:
    """Return a page of batches with where their scores stand, newest first."""
    with resources.sessions_for(principal).open() as session:
        return list_rescores(session, cursor=cursor, limit=limit)


# Before the route with an identifier, which it would be taken for.
@router.get("/rescores/preview", summary="Count what a batch would score")
def get_preview(
    principal: ModelManager,
    resources: AnyResources,
    since: Annotated[Moment, Query()] = None,
    until: Annotated[Moment, Query()] = None,
    limit: Newest = None,
) -> RescorePreview:
    """Return how many scans a batch over this time would score now."""
    with resources.sessions_for(principal).open() as session:
        return preview_rescore(session, Extent(since, until, limit))


@router.get("/rescores/{rescore_id}", summary="Follow a batch of scores", responses=problem_responses(404))
def get_rescore(rescore_id: str, principal: ModelManager, resources: AnyResources) -> RescoreResponse:
    """Return where a batch stands."""
    with resources.sessions_for(principal).open() as session:
        return read_rescore(session, rescore_id)


@router.post(
    "/rescores/{rescore_id}/cancel",
    summary="Cancel a batch of scores",
    responses=problem_responses(404, 409),
)
def post_cancellation(rescore_id: str, principal: ModelManager, resources: AnyResources) -> RescoreResponse:
    """Begin no further score; those that are there stay. Asking again changes nothing."""
    with resources.sessions_for(principal).open() as session:
        return cancel_rescore(session, principal, rescore_id)


@router.get(
    "/rescores/{rescore_id}/comparison",
    summary="Read what a batch would have changed",
    responses=problem_responses(404),
)
def get_comparison(rescore_id: str, principal: ModelManager, resources: AnyResources) -> ComparisonResponse:
    """Return figures of all organisations: each prediction as it was answered, beside the batch's model."""
    with resources.sessions_for(principal).open() as session:
        return compare_rescore(session, rescore_id)


@router.get(
    "/rescores/{rescore_id}/changes",
    summary="List the predictions that a batch decided otherwise",
    responses=problem_responses(404),
)
def get_changes(
    rescore_id: str,
    principal: ModelManager,
    resources: AnyResources,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ChangedPage:
    """Return a page of the account's own organisation, newest first."""
    with resources.sessions_for(principal).open() as session:
        return list_changed_by_rescore(
            session, principal, rescore_id, cursor=cursor, limit=limit, reads=resources.reads
        )
