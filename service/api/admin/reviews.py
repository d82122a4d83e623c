"""How clinicians and diagnoses compare with the model."""

from service.api.access.principals import AnyResources, ReviewCounter
from service.api.actions.reviewing import read_review_counts
from service.api.admin.common import make_router
from service.api.review_payloads import ReviewCountsResponse

router = make_router()


@router.get("/reviews/counts", summary="Count the reviews")
def get_review_counts(principal: ReviewCounter, resources: AnyResources) -> ReviewCountsResponse:
    """Return how many predictions were accepted and overridden, and how decision and diagnosis compare."""
    with resources.sessions_for(principal).open() as session:
        return read_review_counts(session, principal, reads=resources.reads)
