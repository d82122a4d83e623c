"""The list of models and the page of each, with what an administrator may do there."""

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError
from sqlalchemy.orm import Session

from service import registry
from service.api.access.principal import Principal
from service.api.access.principals import AnyResources
from service.api.actions.registry import (
    list_deployments,
    list_models,
    promote_model,
    read_model,
    roll_back_model,
    warnings_of,
)
from service.api.actions.viewing import row_id
from service.api.model_payloads import PromotionRequest, RollbackRequest, SkippedVersion
from service.api.problems.handlers import status_of
from service.api.resources import Resources
from service.errors import ServiceError
from service.identity.permissions import Permission
from service.registry import NO_MODEL, OVERRIDE_REASON_MIN_LENGTH, REASON_MAX_LENGTH
from service.web.access import allowed_by_form, allowed_on_page
from service.web.evaluation.pages import comparison_of
from service.web.language import _
from service.web.models import card, wording
from service.web.models.limits import limit_of
from service.web.prediction.model import measured_on, training_subjects
from service.web.rendering import page

PAGE_LENGTH = 25
SHOWN_DEPLOYMENTS = 20

Reader = Annotated[Principal, Depends(allowed_on_page(Permission.READ_MODELS))]
Manager = Annotated[Principal, Depends(allowed_by_form(Permission.MANAGE_MODELS))]
Text = Annotated[str, Form(max_length=4 * REASON_MAX_LENGTH)]

router = APIRouter(prefix="/models", include_in_schema=False)


@router.get("")
def show_models(
    request: Request,
    principal: Reader,
    resources: AnyResources,
    *,
    cursor: Annotated[str | None, Query(max_length=512)] = None,
    done: str = "",
) -> HTMLResponse:
    """List the models, and which of them answered when."""
    said = _(wording.DONE.get(done, ""))
    return _list_page(request, principal, resources, cursor=cursor, done=said)


@router.post("/rollback")
def roll_back(
    request: Request,
    principal: Manager,
    resources: AnyResources,
    *,
    reason: Text = "",
    expected_active: Text = "",
) -> Response:
    """Let the model before answer again; says which ones were passed over."""
    try:
        asked = RollbackRequest(reason=_typed(reason) or "", expected_active=expected_active or None)
        with resources.sessions_for(principal).open() as session:
            done = roll_back_model(session, principal, resources.storage, asked)
    except ValidationError:
        return _list_page(request, principal, resources, status=422, problem=_refusal("reason_not_valid"))
    except ServiceError as refusal:
        if refusal.code not in wording.REFUSALS:
            raise
        problem, status = _refusal(refusal.code), status_of(refusal) or 500
        return _list_page(request, principal, resources, status=status, problem=problem)
    if done.skipped:
        said = _(wording.DONE["rolled-back"])
        return _list_page(request, principal, resources, done=said, skipped=done.skipped)
    return RedirectResponse("/models?done=rolled-back", status_code=303)


@router.get("/{model_id}")
async def show_model(
    request: Request,
    model_id: str,
    principal: Reader,
    resources: AnyResources,
    *,
    done: str = "",
    refused: str = "",
) -> HTMLResponse:
    """Show what a model is, whether it passes the gate, and when it answered."""
    said, problem = _(wording.DONE.get(done, "")), _(wording.NOT_COMPARABLE.get(refused, ""))
    show = partial(_model_page, request, principal, resources, model_id, done=said, problem=problem)
    return await to_thread.run_sync(show, limiter=resources.hashing)


@router.post("/{model_id}/promote")
def promote(
    request: Request,
    model_id: str,
    principal: Manager,
    resources: AnyResources,
    *,
    reason: Text = "",
    override_reason: Text = "",
    expected_active: Text = "",
) -> Response:
    """Let a model answer from now on; what cannot be is shown again with what was typed."""
    typed = {"reason": reason, "override_reason": override_reason}
    try:
        asked = PromotionRequest(
            reason=_typed(reason) or "",
            override_reason=_typed(override_reason),
            expected_active=expected_active or None,
        )
        with resources.sessions_for(principal).open() as session:
            shown = promote_model(session, principal, resources.storage, model_id, asked)
    except ValidationError:
        problem = _refusal("reason_not_valid")
        return _model_page(request, principal, resources, model_id, status=422, problem=problem, typed=typed)
    except ServiceError as refusal:
        if refusal.code not in wording.REFUSALS:
            raise
        problem, status = _refusal(refusal.code), status_of(refusal) or 500
        return _model_page(
            request, principal, resources, model_id, status=status, problem=problem, typed=typed
        )
    return RedirectResponse(f"/models/{shown.model_version_id}?done=promoted", status_code=303)


def _list_page(
    request: Request,
    principal: Principal,
    resources: Resources,
    *,
    cursor: str | None = None,
    status: int = 200,
    problem: str = "",
    done: str = "",
    skipped: list[SkippedVersion] | None = None,
) -> HTMLResponse:
    with resources.sessions_for(principal).open() as session:
        models = list_models(session, cursor=cursor, limit=PAGE_LENGTH)
        history = list_deployments(session, cursor=None, limit=SHOWN_DEPLOYMENTS)
        earlier = registry.earlier_versions(registry.deployments(session))
        active = _answering(session)
    return page(
        request,
        "models/list.html",
        principal=principal,
        status=status,
        problem=problem,
        done=done,
        skipped=skipped or [],
        models=models,
        areas={model.id: card.area(model.card) for model in models.items},
        history=history,
        before=earlier[0] if earlier else None,
        expected_active=active,
        may_manage=principal.may(Permission.MANAGE_MODELS),
        words=wording,
        reason_max_length=REASON_MAX_LENGTH,
    )


def _model_page(
    request: Request,
    principal: Principal,
    resources: Resources,
    model_id: str,
    *,
    status: int = 200,
    problem: str = "",
    done: str = "",
    typed: dict[str, str] | None = None,
) -> HTMLResponse:
    with resources.sessions_for(principal).open() as session:
        active = _answering(session)
        # Before the model is read, which closes the session.
        warnings = warnings_of(session, active) if active == row_id(model_id) else []
        model = read_model(session, resources.storage, model_id)
    comparison = comparison_of(model.id, principal, resources)
    failed = [rule for rule in model.gate if rule.passed is False]
    return page(
        request,
        "models/model.html",
        principal=principal,
        status=status,
        problem=problem,
        done=done,
        typed=typed or {"reason": "", "override_reason": ""},
        model=model,
        warnings=warnings,
        **comparison,
        card=card,
        measured_on=measured_on(model.card),
        training_subjects=training_subjects(model.card),
        failed=failed,
        never=[rule for rule in failed if not rule.overridable],
        expected_active=active,
        may_manage=principal.may(Permission.MANAGE_MODELS),
        words=wording,
        limit_of=limit_of,
        reason_max_length=REASON_MAX_LENGTH,
        override_min_length=OVERRIDE_REASON_MIN_LENGTH,
    )


def _answering(session: Session) -> str:
    """Return what the forms say was seen answering."""
    active = registry.active_model(session)
    return NO_MODEL if active is None else active.id


def _typed(text: str) -> str | None:
    # Forms end lines with two characters.
    return text.replace("\r\n", "\n").strip() or None


def _refusal(code: str) -> str:
    return _(wording.REFUSALS[code])
