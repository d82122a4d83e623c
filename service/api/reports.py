"""``/api/v1/predictions/{id}/report.html`` and ``.pdf``: all that a reader needs to judge an answer."""

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, Response

from service.api.access.principals import AnyResources, PredictionReader
from service.api.actions.reporting import Format, read_report
from service.api.parameters import known_parameters_only
from service.api.problems.problem import problem_responses
from service.report.page import content_security_policy, render
from service.report.pdf import write_pdf
from service.web.language import Language

router = APIRouter(
    prefix="/api/v1/predictions",
    tags=["predictions"],
    responses=problem_responses(422),
    dependencies=[Depends(known_parameters_only)],
)

ReportLanguage = Annotated[Language, Query(description="What the report is written in")]
PROBLEMS = problem_responses(401, 403, 404, 409)
PDF = "application/pdf"


@router.get(
    "/{prediction_id}/report.html",
    summary="Read the report of a prediction as one HTML file",
    response_class=HTMLResponse,
    responses={200: {"description": "A file that loads nothing from anywhere"}, **PROBLEMS},
)
def get_report_page(
    request: Request,
    prediction_id: str,
    principal: PredictionReader,
    resources: AnyResources,
    *,
    language: ReportLanguage = Language.ENGLISH,
) -> HTMLResponse:
    """Return a file to be read, kept or printed; it holds no script, and its policy allows none."""
    report = read_report(
        resources, principal, prediction_id, version=request.app.version, kind="html", language=language
    )
    headers = _headers(report.prediction_id, "html")
    return HTMLResponse(
        render(report),
        headers=headers | {"Content-Security-Policy": content_security_policy(report.language)},
    )


@router.get(
    "/{prediction_id}/report.pdf",
    summary="Read the report of a prediction as a PDF",
    response_class=Response,
    responses={
        200: {
            "description": "One or two pages of A4",
            "content": {PDF: {"schema": {"type": "string", "contentMediaType": PDF}}},
        },
        **PROBLEMS,
    },
)
async def get_report_pdf(
    request: Request,
    prediction_id: str,
    principal: PredictionReader,
    resources: AnyResources,
    *,
    language: ReportLanguage = Language.ENGLISH,
) -> Response:
    """Return the same on one or two pages; what is too long for them is cut, and says so."""
    read = partial(
        read_report,
        resources,
        principal,
        prediction_id,
        version=request.app.version,
        kind="pdf",
        language=language,
    )
    report = await to_thread.run_sync(read)
    pdf = await to_thread.run_sync(write_pdf, report, limiter=resources.reporting)
    return Response(pdf, media_type=PDF, headers=_headers(report.prediction_id, "pdf"))


def _headers(prediction_id: str, kind: Format) -> dict[str, str]:
    # Shown by the browser, which offers to save it under a name that tells nothing of the person.
    return {"Content-Disposition": f'inline; filename="restnet-{prediction_id}.{kind}"'}
