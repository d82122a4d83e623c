"""Drawing the page of one prediction: where it stands, or what it says and what was said of it."""

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from service import jobs
from service.api.access.principal import Principal
from service.api.actions.comparing import answering_card
from service.api.actions.explaining import explanation_of
from service.api.actions.normalised_scans import figures_of, quality_of
from service.api.actions.reviewing import review_page
from service.api.actions.viewing import read_prediction
from service.api.population_payloads import PopulationResponse
from service.api.resources import Resources
from service.identity.permissions import Permission
from service.registry import active_model
from service.reviews import AGREES_WITH, REASON_MAX_LENGTH
from service.web import wording
from service.web.prediction.comparing import person_lines, person_sentence, quality_lines
from service.web.prediction.model import measured, measured_on, training_subjects
from service.web.prediction.normalised import done_to, figure_words
from service.web.prediction.review_form import EMPTY, ReviewForm
from service.web.prediction.scale import (
    dvars_trace,
    height,
    probability_scale,
    signal_trace,
    stretches,
    time_marks,
    uncertain_band,
)
from service.web.prediction.verdict import quality_verdict
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
        values: dict[str, Any] = {}
        if shown.result is not None:
            explanation = explanation_of(session, shown.id)
            normalised = jobs.normalised_of(session, shown.scan_id)
            values = _drawn(shown.result, shown.population, answering_card(session, shown.id)) | {
                "normalised": done_to(shown.result, quality_of(normalised)),
                "normalised_figures": [
                    figure | {"words": figure_words(figure["name"].removesuffix(".png"))}
                    for figure in figures_of(normalised, shown.id)
                ],
                "explanation": explanation,
                "global_signal": signal_trace(explanation.facts.global_signal)
                if explanation and explanation.facts
                else None,
                "reviews": review_page(session, shown.id, cursor=None, limit=REVIEWS_SHOWN),
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
            stage=shown.stage,
        ),
        **values,
    )


def _drawn(
    result: dict[str, Any], compared: PopulationResponse | None, card: dict[str, Any] | None
) -> dict[str, Any]:
    """Lay out all that the sections of a result show."""
    population = None if card is None else card.get("population")
    band = uncertain_band(result, card)
    person = person_lines(compared, population)
    verdict = quality_verdict(result["warnings"], compared)
    return {
        "verdict": verdict,
        "quality": quality_lines(result["quality"], compared, population),
        "compared": compared,
        "trace": dvars_trace(result["quality"].get("dvars", [])),
        "times": time_marks(float(result["quality"]["duration_s"])),
        "scale": probability_scale(result),
        "band": band,
        "decision": wording.decision(result, band),
        "unlike_training": verdict.grade == "care" or any(line.place == "outside" for line in person),
        "person": person,
        "person_sentence": person_sentence(person),
        "stretches": stretches(result),
        "threshold_height": height(float(result["threshold"])),
        "measured": measured(card),
        "measured_on": measured_on(card),
        "training_subjects": training_subjects(card),
        "warnings": wording.warnings_beside_banner(result["warnings"]),
    }


def active_card(session: Session) -> dict[str, Any] | None:
    """Return the card of the model that answers; None where there is none."""
    version = active_model(session)
    return None if version is None else version.card
