"""The change plan of a training run, as a document to be completed and signed."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import Query, Request
from fastapi.responses import HTMLResponse, Response

from service.api.access.principal import Principal
from service.api.access.principals import AnyResources, Trainer
from service.api.actions.planning_change import read_change_plan
from service.api.admin.common import make_router
from service.api.problems.problem import problem_responses
from service.api.resources import Resources
from service.change_plan import ChangePlan
from service.change_plan.page import content_security_policy, render
from service.change_plan.pdf import write_pdf
from service.web.language import Language

PlanLanguage = Annotated[Language, Query(description="What the plan is written in")]
PDF = "application/pdf"

router = make_router()


@router.get(
    "/training-runs/{run_id}/change-plan.html",
    summary="Read the change plan of a training run as one HTML file",
    response_class=HTMLResponse,
    responses={200: {"description": "A file that loads nothing from anywhere"}, **problem_responses(404)},
)
async def get_change_plan_page(
    request: Request,
    run_id: str,
    principal: Trainer,
    resources: AnyResources,
    *,
    language: PlanLanguage = Language.ENGLISH,
) -> HTMLResponse:
    """Return what may change, how it is verified and what it may do, as far as the run's records say it."""
    read = _reading(request, principal, resources, run_id, language=language)
    # The gate hashes the model's file.
    plan = await to_thread.run_sync(read, limiter=resources.hashing)
    policy = {"Content-Security-Policy": content_security_policy(plan.language)}
    return HTMLResponse(render(plan), headers=_headers(plan.run_id, "html") | policy)


@router.get(
    "/training-runs/{run_id}/change-plan.pdf",
    summary="Read the change plan of a training run as a PDF",
    response_class=Response,
    responses={
        200: {
            "description": "Some pages of A4",
            "content": {PDF: {"schema": {"type": "string", "contentMediaType": PDF}}},
        },
        **problem_responses(404),
    },
)
async def get_change_plan_pdf(
    request: Request,
    run_id: str,
    principal: Trainer,
    resources: AnyResources,
    *,
    language: PlanLanguage = Language.ENGLISH,
) -> Response:
    """Return the same on paper."""
    read = _reading(request, principal, resources, run_id, language=language)
    plan = await to_thread.run_sync(read, limiter=resources.hashing)
    pdf = await to_thread.run_sync(write_pdf, plan, limiter=resources.reporting)
    return Response(pdf, media_type=PDF, headers=_headers(plan.run_id, "pdf"))


def _reading(
    request: Request, principal: Principal, resources: Resources, run_id: str, *, language: Language
) -> Callable[[], ChangePlan]:
    return partial(
        read_change_plan,
        resources.sessions_for(principal),
        resources.storage,
        run_id,
        made_by=principal.username,
        version=request.app.version,
        language=language,
    )


def _headers(run_id: str, kind: str) -> dict[str, str]:
    return {"Content-Disposition": f'inline; filename="restnet-change-plan-{run_id}.{kind}"'}
