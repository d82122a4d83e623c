"""The page of the evaluation sets, and what is done about evaluations on the page of a model."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from service import evaluations, registry
from service.api.access.principal import Principal
from service.api.access.principals import AnyResources
from service.api.actions.describing_evaluations import newest_evaluation
from service.api.actions.evaluating import (
    add_set,
    every_set,
    list_evaluations,
    remove_set,
    start_evaluation,
    stop_evaluation,
    use_set,
)
from service.api.actions.training import every_cohort
from service.api.actions.viewing import row_id
from service.api.evaluation_payloads import EvaluationSetRequest
from service.api.model_payloads import RuleResponse
from service.api.problems.handlers import status_of
from service.api.resources import Resources
from service.errors import ServiceError
from service.identity.permissions import Permission
from service.storage import EncryptionKeyMissingError
from service.web.access import allowed_by_form, allowed_on_page
from service.web.evaluation import figures, wording
from service.web.language import _
from service.web.rendering import page

SHOWN_EVALUATIONS = 25

Reader = Annotated[Principal, Depends(allowed_on_page(Permission.READ_MODELS))]
Manager = Annotated[Principal, Depends(allowed_by_form(Permission.MANAGE_MODELS))]
Text = Annotated[str, Form(max_length=1000)]

router = APIRouter(include_in_schema=False)


@router.get("/evaluation")
def show_sets(
    request: Request, principal: Reader, resources: AnyResources, *, done: str = ""
) -> HTMLResponse:
    """List the sets, which of them is in use, and the newest evaluations."""
    return _page(request, principal, resources, done=_(wording.DONE.get(done, "")))


@router.post("/evaluation")
def add(
    request: Request,
    principal: Manager,
    resources: AnyResources,
    *,
    name: Text = "",
    cohort: Text = "",
    selection: Text = "all",
    where: Text = "",
) -> Response:
    """Add a set; what cannot be is shown again with what was typed."""
    typed = {"name": name, "cohort": cohort, "selection": selection, "where": where}
    filters = [line.strip() for line in where.splitlines() if line.strip()]
    try:
        asked = EvaluationSetRequest.model_validate(typed | {"name": name.strip(), "where": filters})
        with resources.sessions_for(principal).open() as session:
            add_set(session, principal, asked)
    except ValidationError:
        problem = _(wording.REFUSALS["request_not_valid"])
        return _page(request, principal, resources, status=422, problem=problem, typed=typed)
    except ServiceError as refusal:
        if refusal.code not in wording.REFUSALS:
            raise
        problem, status = _(wording.REFUSALS[refusal.code], **refusal.details()), status_of(refusal) or 500
        return _page(request, principal, resources, status=status, problem=problem, typed=typed)
    return RedirectResponse("/evaluation?done=added", status_code=303)


@router.post("/evaluation/{set_id}/use")
def use(set_id: str, principal: Manager, resources: AnyResources) -> RedirectResponse:
    """Compare models on a set from now on."""
    with resources.sessions_for(principal).open() as session:
        use_set(session, principal, set_id)
    return RedirectResponse("/evaluation?done=used", status_code=303)


@router.post("/evaluation/{set_id}/remove")
def remove(request: Request, set_id: str, principal: Manager, resources: AnyResources) -> Response:
    """Remove a set that no model was compared on."""
    try:
        with resources.sessions_for(principal).open() as session:
            remove_set(session, principal, set_id)
    except evaluations.EvaluationSetComparedError as refusal:
        problem = _(wording.REFUSALS[refusal.code])
        return _page(request, principal, resources, status=409, problem=problem)
    return RedirectResponse("/evaluation?done=removed", status_code=303)


@router.get("/models/{model_id}/comparison")
def show_comparison(request: Request, model_id: str, principal: Reader, resources: AnyResources) -> Response:
    """Renew the part of a model's page that shows an evaluation under way; the page itself once it is over.

    The page reads the model's file through, which a look every few seconds must not.
    """
    with resources.sessions_for(principal).open() as session:
        version = registry.require_version(session, row_id(model_id))
        found = newest_evaluation(session, version.id)
    if "hx-request" not in request.headers:
        return RedirectResponse(f"/models/{version.id}", status_code=303)
    if found is None or found.status.value not in wording.LIVE:
        return Response(headers={"HX-Refresh": "true"})
    return page(
        request,
        "evaluation/under_way.html",
        principal=principal,
        model_id=version.id,
        found=found,
        evaluation=wording,
        may_manage=principal.may(Permission.MANAGE_MODELS),
    )


@router.post("/models/{model_id}/evaluations")
def start(
    model_id: str, principal: Manager, resources: AnyResources, *, again: bool = False
) -> RedirectResponse:
    """Compare a model with the one that answers; where that cannot be any more, the page says why."""
    try:
        model_id = start_evaluation(resources, principal, model_id, again=again).challenger.id
    except (registry.NoActiveModelError, registry.ModelAlreadyActiveError, evaluations.NoEvaluationSetError):
        return _to_model(model_id)
    except (
        registry.CheckpointMissingError,
        registry.CheckpointDamagedError,
        registry.GateNotPassedError,
        EncryptionKeyMissingError,
    ) as refusal:
        return _to_model(model_id, refused=refusal.code)
    return _to_model(model_id)


@router.post("/models/{model_id}/evaluations/{evaluation_id}/cancel")
def cancel(
    model_id: str, evaluation_id: str, principal: Manager, resources: AnyResources
) -> RedirectResponse:
    """Stop an evaluation; one that has just ended is simply shown."""
    try:
        with resources.sessions_for(principal).open() as session:
            model_id = stop_evaluation(session, principal, evaluation_id).challenger.id
    except evaluations.EvaluationOverError:
        return _to_model(model_id)
    return _to_model(model_id)


def comparison_of(model_id: str, principal: Principal, resources: Resources) -> dict[str, Any]:
    """Return what a model's page shows of it beside the one that answers."""
    with resources.sessions_for(principal).open() as session:
        champion = registry.active_model(session)
        found = newest_evaluation(session, row_id(model_id))
        in_use = next((one for one in every_set(session) if one.in_use), None)
    measured = found is not None and found.outcome is not None and found.outcome["together"] is not None
    return {
        "found": found,
        "side_by_side": measured,
        "judged": [] if found is None or found.outcome is None else _rules(found.outcome),
        "in_use": in_use,
        "comparable": champion is not None and champion.id != row_id(model_id) and in_use is not None,
        "figures": figures,
        "evaluation": wording,
    }


def _rules(outcome: dict[str, Any]) -> list[RuleResponse]:
    return [RuleResponse(**rule) for rule in outcome["rules"]]


def _to_model(model_id: str, *, refused: str = "") -> RedirectResponse:
    # What a form was sent to is no address to be led to: only what names a model is.
    address = f"/models/{row_id(model_id)}" if row_id(model_id) else "/models"
    return RedirectResponse(f"{address}?refused={refused}" if refused else address, status_code=303)


def _page(
    request: Request,
    principal: Principal,
    resources: Resources,
    *,
    status: int = 200,
    problem: str = "",
    done: str = "",
    typed: dict[str, str] | None = None,
) -> HTMLResponse:
    may_manage = principal.may(Permission.MANAGE_MODELS)
    with resources.sessions_for(principal).open() as session:
        sets = every_set(session)
        newest = list_evaluations(session, cursor=None, limit=SHOWN_EVALUATIONS)
        cohorts = every_cohort(session) if may_manage else []
    return page(
        request,
        "evaluation/list.html",
        principal=principal,
        status=status,
        problem=problem,
        done=done,
        typed=typed or {"name": "", "cohort": "", "selection": "all", "where": ""},
        sets=sets,
        newest=newest,
        cohorts=cohorts,
        may_manage=may_manage,
        evaluation=wording,
    )
