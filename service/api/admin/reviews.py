"""How clinicians and diagnoses compare with the model."""

from service.api.access.principals import AnyResources, ReviewCounter
from service.api.admin.common import make_router
from service.api.review_payloads import (
    AgreementCounts,
    DecisionCounts,
    DiagnosisCounts,
    ReviewCountsResponse,
)
from service.reviews import count_reviews

router = make_router()


@router.get("/reviews/counts", summary="Count the reviews")
def get_review_counts(principal: ReviewCounter, resources: AnyResources) -> ReviewCountsResponse:
    """Return how many predictions were accepted and overridden, and how decision and diagnosis compare."""
    with resources.sessions_for(principal).open() as session:
        resources.reads.note(
            session, principal.actor, action="review.count", subject_kind="review", subject_id="list"
        )
        counts = count_reviews(session)
    table = {diagnosis: DecisionCounts(**decisions) for diagnosis, decisions in counts.table.items()}
    return ReviewCountsResponse(
        accepted=counts.accepted,
        overridden=counts.overridden,
        with_diagnosis=counts.with_diagnosis,
        agreement=AgreementCounts(agreeing=counts.agreeing, decided=counts.decided),
        by_diagnosis=DiagnosisCounts(**table),
    )
