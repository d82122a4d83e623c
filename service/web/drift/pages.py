"""The page about drift: the verdict, figures by week, alarms, and what scans are compared with."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from service.api.access.principal import Principal
from service.api.access.principals import AnyResources
from service.api.actions.drift import (
    acknowledge_alarm,
    acknowledge_every_alarm,
    ask_for_evaluation,
    read_drift,
    start_reference,
    stop_reference,
)
from service.api.actions.registry import list_models
from service.api.actions.training import every_cohort
from service.api.drift_payloads import AcknowledgementRequest, EvaluationRequest, ReferenceRequest
from service.api.problems.handlers import status_of
from service.api.resources import Resources
from service.drift.errors import DriftReferenceOverError
from service.errors import ServiceError
from service.identity.permissions import Permission
from service.web.access import allowed_by_form, allowed_on_page
from service.web.drift import drawing, wording
from service.web.language import _
from service.web.models.wording import by, reference_left
from service.web.rendering import page

# The newest, to choose from.
OFFERED_MODELS = 200

Watcher = Annotated[Principal, Depends(allowed_on_page(Permission.MANAGE_MODELS))]
Manager = Annotated[Principal, Depends(allowed_by_form(Permission.MANAGE_MODELS))]
Text = Annotated[str, Form(max_length=255)]

router = APIRouter(prefix="/drift", include_in_schema=False)


@router.get("")
def show_drift(
    request: Request,
    principal: Watcher,
    resources: AnyResources,
    *,
    model: Annotated[str, Query(max_length=64)] = "",
    site: Annotated[str, Query(max_length=255)] = "",
    done: str = "",
) -> HTMLResponse:
    """Say whether the scans of late are like the reference."""
    said = _(wording.DONE.get(done, ""))
    return _page(request, principal, resources, model=model, site=site, done=said)


@router.post("/references")
def make_reference(
    request: Request,
    principal: Manager,
    resources: AnyResources,
    *,
    cohort: Text = "",
    selection: Text = "",
    model: Text = "",
) -> Response:
    """Queue a reference for a model."""
    form = {"cohort": cohort, "selection": selection}
    try:
        asked = ReferenceRequest.model_validate(
            {"cohort": cohort, "selection": selection or None, "model_version_id": model or None}
        )
        start_reference(resources, principal, asked)
    except ValidationError:
        return _refused(request, principal, resources, "fields_not_valid", 422, model=model, form=form)
    except ServiceError as refusal:
        if refusal.code not in wording.REFUSALS:
            raise
        status = status_of(refusal) or 500
        return _refused(request, principal, resources, refusal.code, status, model=model, form=form)
    return _back("reference", model)


@router.post("/references/{reference_id}/cancel")
def cancel(
    request: Request, reference_id: str, principal: Manager, resources: AnyResources, model: Text = ""
) -> Response:
    """Stop a reference; where it has just ended, the page says so."""
    try:
        stopped = stop_reference(resources, principal, reference_id)
    except DriftReferenceOverError as refusal:
        status = status_of(refusal) or 500
        return _refused(request, principal, resources, refusal.code, status, model=model)
    return _back("cancelled", stopped.model_version_id)


@router.post("/evaluate")
def evaluate(request: Request, principal: Manager, resources: AnyResources, model: Text = "") -> Response:
    """Let the scans of a model be looked at soon."""
    try:
        ask_for_evaluation(resources, principal, EvaluationRequest(model_version_id=model or None))
    except ServiceError as refusal:
        if refusal.code not in wording.REFUSALS:
            raise
        status = status_of(refusal) or 500
        return _refused(request, principal, resources, refusal.code, status, model="")
    return _back("evaluation", model)


@router.post("/alarms/{alarm_id}/acknowledge")
def acknowledge(alarm_id: str, principal: Manager, resources: AnyResources) -> Response:
    """Note that an alarm was seen."""
    alarm = acknowledge_alarm(resources, principal, alarm_id)
    return _back("acknowledged", alarm.model_version_id)


@router.post("/alarms/acknowledge")
def acknowledge_all(
    request: Request, principal: Manager, resources: AnyResources, model: Text = ""
) -> Response:
    """Note that every alarm of a model was seen."""
    try:
        asked = AcknowledgementRequest(model_version_id=model or None)
        version = acknowledge_every_alarm(resources, principal, asked).model_version_id
    except ServiceError as refusal:
        if refusal.code not in wording.REFUSALS:
            raise
        return _refused(request, principal, resources, refusal.code, status_of(refusal) or 500, model="")
    return _back("acknowledged_all", version)


def _back(done: str, model: str) -> RedirectResponse:
    return RedirectResponse(f"/drift?done={done}" + (f"&model={model}" if model else ""), status_code=303)


def _refused(
    request: Request,
    principal: Principal,
    resources: Resources,
    code: str,
    status: int,
    *,
    model: str,
    form: Mapping[str, str] | None = None,
) -> HTMLResponse:
    problem = _(wording.REFUSALS[code])
    return _page(
        request, principal, resources, model=model, site="", problem=problem, status=status, form=form
    )


def _page(
    request: Request,
    principal: Principal,
    resources: Resources,
    *,
    model: str,
    site: str,
    done: str = "",
    problem: str = "",
    status: int = 200,
    form: Mapping[str, str] | None = None,
) -> HTMLResponse:
    with resources.sessions_for(principal).open() as session:
        drift = read_drift(session, model_version_id=model or None, site=None)
        models = list_models(session, cursor=None, limit=OFFERED_MODELS).items
        cohorts = every_cohort(session)
    found = drift.found
    if found and found.sites == [site]:
        # Of one site alone the findings are those of all together.
        site = ""
    newest = {one.variable: one for one in found.findings if one.site == site} if found else {}
    return page(
        request,
        "drift/page.html",
        principal=principal,
        status=status,
        done=done,
        problem=problem,
        drift=drift,
        found=found,
        site=site,
        models=models,
        cohorts=cohorts,
        form=form or {"cohort": "", "selection": ""},
        plots=drawing.plots_of(found, site=site) if found else [],
        rates=drawing.rates_of(found, site=site) if found else [],
        stays=drawing.stays_of(drift.deployments, found.weeks) if found else [],
        outcomes=drawing.outcomes_of(found, site=site) if found else [],
        outside=[one for one in reversed(found.outside_card) if one.site == site] if found else [],
        newest=[newest[name] for name in wording.VARIABLES if name in newest],
        words=wording,
        by=by,
        reference_left=reference_left,
    )
