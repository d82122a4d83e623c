"""Drawing the page of one prediction: where it stands, or what it says and what was said of it."""

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.api.access.principal import Principal
from service.api.actions.reviewing import review_page
from service.api.actions.viewing import read_prediction
from service.api.resources import Resources
from service.api.review_payloads import ReviewPage
from service.db.rows import ModelVersionRow
from service.identity.permissions import Permission
from service.reviews import AGREES_WITH, REASON_MAX_LENGTH
from service.web import wording
from service.web.prediction.review_form import EMPTY, ReviewForm
from service.web.prediction.scale import dvars_trace, height, probability_scale, stretches, time_marks
from service.web.rendering import page

REVIEWS_SHOWN = 50


def prediction_page(
    request: Request,
    principal: Principal,
    resources: Resources,
    prediction_id: str,
    *,
    status: int = 200,
    form: ReviewForm = EMPTY,
) -> HTMLResponse:
    """Draw the page of a prediction, once the audit has the look.

    Parameters
    ----------
    request : Request
    principal : Principal
    resources : Resources
    prediction_id : str
    status : int
    form : ReviewForm
        What stands in the form for a review.

    Raises
    ------
    PredictionNotFoundError
        If the account sees no such prediction.
    """
    with resources.sessions_for(principal).open() as session:
        shown = read_prediction(session, principal, prediction_id, reads=resources.reads)
        card = shown.result["model"] if shown.result else active_card(session)
        reviews = ReviewPage(items=[], next_cursor=None)
        if shown.result:
            reviews = review_page(session, shown.id, cursor=None, limit=REVIEWS_SHOWN)
    values: dict[str, Any] = {}
    if shown.result is not None:
        values = {
            "decision": wording.decision(shown.result),
            "scale": probability_scale(shown.result),
            "quality": wording.quality_lines(shown.result["quality"]),
            "stretches": stretches(shown.result),
            "threshold_height": height(float(shown.result["threshold"])),
            "times": time_marks(float(shown.result["quality"]["duration_s"])),
            "trace": dvars_trace(shown.result["quality"].get("dvars", [])),
            "warnings": wording.warnings_beside_banner(shown.result["warnings"]),
            "reviews": reviews,
            "may_review": principal.may(Permission.REVIEW_PREDICTIONS),
            "form": form,
            "reason_max_length": REASON_MAX_LENGTH,
            "agreeing": AGREES_WITH.get(shown.result["decision"]),
        }
    return page(
        request,
        "prediction/page.html",
        principal=principal,
        status=status,
        prediction=shown,
        running=shown.status.value in wording.RUNNING,
        card=card,
        line=wording.progress_line(
            shown.status.value,
            queue_position=shown.queue_position,
            expected_wait_s=shown.expected_wait_s,
            cancel_requested=shown.cancel_requested,
        ),
        **values,
    )


def active_card(session: Session) -> dict[str, Any] | None:
    """Return the card of the model that answers; None where there is none."""
    return session.scalars(select(ModelVersionRow.card).where(ModelVersionRow.active)).first()
