"""``/api/v1/predictions/{id}/review``: what a clinician says of a prediction, and what was said before."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from service.api.access.principals import AnyResources, PredictionReader, PredictionReviewer
from service.api.actions.reviewing import add_review, read_reviews
from service.api.parameters import known_parameters_only
from service.api.problems.problem import problem_responses
from service.api.review_payloads import ReviewPage, ReviewRequest, ReviewResponse

router = APIRouter(
    prefix="/api/v1/predictions",
    tags=["predictions"],
    responses=problem_responses(422),
    dependencies=[Depends(known_parameters_only)],
)


@router.post(
    "/{prediction_id}/review",
    status_code=201,
    summary="Review a prediction",
    responses=problem_responses(400, 401, 403, 404, 409),
)
def post_review(
    prediction_id: str, body: ReviewRequest, principal: PredictionReviewer, resources: AnyResources
) -> ReviewResponse:
    """Accept or override what a finished prediction says; earlier reviews stay as they are."""
    with resources.sessions_for(principal).open() as session:
        return add_review(session, principal, prediction_id, body)


@router.get(
    "/{prediction_id}/reviews",
    summary="Read the reviews of a prediction",
    responses=problem_responses(401, 403, 404),
)
def get_reviews(
    prediction_id: str,
    principal: PredictionReader,
    resources: AnyResources,
    cursor: Annotated[str | None, Query(max_length=512)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ReviewPage:
    """Return a page of who said what of it, when and why, newest first."""
    with resources.sessions_for(principal).open() as session:
        return read_reviews(
            session, principal, prediction_id, cursor=cursor, limit=limit, reads=resources.reads
        )
