"""How often clinicians and final diagnoses went along with the model, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from service.api.access.principal import Principal
from service.api.access.principals import AnyResources
from service.api.actions.reviewing import read_review_counts
from service.identity.permissions import Permission
from service.web.access import allowed_on_page
from service.web.rendering import page

Counter = Annotated[Principal, Depends(allowed_on_page(Permission.COUNT_REVIEWS))]

router = APIRouter(include_in_schema=False)


@router.get("/reviews")
def show_review_counts(request: Request, principal: Counter, resources: AnyResources) -> HTMLResponse:
    """Show the counts of the organisation."""
    with resources.sessions_for(principal).open() as session:
        counts = read_review_counts(session, principal, reads=resources.reads)
    return page(request, "review_counts.html", principal=principal, counts=counts)
