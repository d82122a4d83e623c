"""How many people's reviewed scans a training may take."""

from sqlalchemy.orm import Session

from service.api.access.principal import Principal
from service.api.training_payloads import ReviewedScansResponse
from service.audit import ReadLog
from service.reviews import Consented, consented_people


def count_reviewed(session: Session, principal: Principal, *, reads: ReadLog) -> ReviewedScansResponse:
    """Count whom a training that is asked for now may take, once the audit has the look.

    Only the account's own organisation is counted, which is the one that a run takes scans of.
    """
    reads.note(session, principal.actor, action="review.count", subject_kind="review", subject_id="list")
    return reviewed_response(consented_people(session, organisation_id=principal.organisation_id))


def reviewed_response(consented: Consented) -> ReviewedScansResponse:
    """Give the counts; nobody is named."""
    return ReviewedScansResponse(
        people=len(consented.people),
        scans=consented.n_scans,
        cases=consented.n_cases,
        controls=len(consented.people) - consented.n_cases,
        left_out=dict(consented.left_out),
    )
