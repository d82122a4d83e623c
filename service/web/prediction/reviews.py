"""Reviewing a prediction on its page."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from service.api.access.principal import Principal
from service.api.access.principals import AnyResources
from service.api.actions.reviewing import add_review
from service.api.actions.viewing import find_prediction
from service.identity.permissions import Permission
from service.reviews import OverrideAgreesError
from service.web.access import allowed_by_form
from service.web.language import _
from service.web.prediction.page import prediction_page
from service.web.prediction.review_form import ANSWER_AGREES, typed

Reviewer = Annotated[Principal, Depends(allowed_by_form(Permission.REVIEW_PREDICTIONS))]
# Judged by the form itself, which says beside each field what is wrong.
Field = Annotated[str, Form()]

router = APIRouter(include_in_schema=False)


@router.post("/predictions/{prediction_id}/review")
def review(
    request: Request,
    prediction_id: str,
    principal: Reviewer,
    resources: AnyResources,
    *,
    answer: Field = "",
    reason: Field = "",
    diagnosis: Field = "",
    consent: Field = "",
) -> Response:
    """Take a review and go back to the page; what cannot be taken is shown again with what was typed."""
    form = typed(answer=answer, reason=reason, diagnosis=diagnosis, consent=consent)
    said = form.read()
    with resources.sessions_for(principal).open() as session:
        row_id = find_prediction(session, principal, prediction_id).id
        try:
            if said is not None:
                add_review(session, principal, row_id, said)
                return RedirectResponse(f"/predictions/{row_id}#reviews", status_code=303)
            refused, status = form.with_problems(), 422
        except OverrideAgreesError:
            refused, status = form.with_problems(answer=_(ANSWER_AGREES)), 409
    return prediction_page(request, principal, resources, row_id, status=status, form=refused)
