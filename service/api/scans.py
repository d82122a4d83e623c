"""``/api/v1/scans``: hand a scan over, look at it, remove it."""

from typing import Any

from fastapi import APIRouter, Depends, Request

from service.api.access.principals import AnyResources, ScanDeleter, ScanReader, ScanUploader
from service.api.actions.removal import delete_scan
from service.api.actions.submission import Submission
from service.api.actions.uploads import receive_scan
from service.api.actions.viewing import read_scan
from service.api.parameters import RAW_HEADERS, IdempotencyKey, known_parameters_only
from service.api.payloads import AcceptedResponse, PredictionLinks, ScanFields, ScanResponse
from service.api.problems.problem import problem_responses

router = APIRouter(
    prefix="/api/v1/scans",
    tags=["scans"],
    responses=problem_responses(422),
    dependencies=[Depends(known_parameters_only)],
)


def _upload_description() -> dict[str, Any]:
    """Describe the body by hand: FastAPI never reads it, because it would keep it whole."""
    fields = {
        name: _without_null(described)
        for name, described in ScanFields.model_json_schema()["properties"].items()
    }
    binary = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "required": ["scan"],
        "additionalProperties": False,
        "properties": {
            **fields,
            "scan": {
                **binary,
                "description": "A .nii or .nii.gz file, or a zip with one DICOM series or BIDS subject",
            },
        },
    }
    parameters = [
        {
            "name": "X-Filename",
            "in": "header",
            "schema": {"type": "string"},
            "description": "Required with a raw body, refused with a form: the file's name.",
        },
        *(
            {
                "name": header.title(),
                "in": "header",
                "schema": fields[name],
                "description": f"With a raw body: what a form says as `{name}`. A misspelt one is refused.",
            }
            for name, header in RAW_HEADERS.items()
        ),
    ]
    content = {
        "multipart/form-data": {
            "schema": form,
            "encoding": {
                "scan": {"contentType": "application/octet-stream, application/gzip, application/zip"}
            },
        },
        "application/octet-stream": {"schema": binary},
        "application/gzip": {"schema": binary},
        "application/zip": {"schema": binary},
    }
    return {"requestBody": {"required": True, "content": content}, "parameters": parameters}


def _without_null(described: dict[str, Any]) -> dict[str, Any]:
    # Neither a form nor a header can say null: what is not known is left out.
    kept: dict[str, Any] = {
        name: value for name, value in described.items() if name not in {"anyOf", "default"}
    }
    [value] = [choice for choice in described["anyOf"] if choice["type"] != "null"]
    kept |= value
    return kept


@router.post(
    "",
    status_code=202,
    summary="Upload a scan and queue its prediction",
    response_model=AcceptedResponse,
    responses=problem_responses(400, 401, 403, 413, 415, 422),
    openapi_extra=_upload_description(),
)
async def upload_scan(
    request: Request, principal: ScanUploader, idempotency_key: IdempotencyKey
) -> AcceptedResponse:
    """Stream a scan in as a form or a raw body; the header is checked before anything is kept."""
    return accepted(await receive_scan(request, principal, idempotency_key=idempotency_key))


def accepted(submission: Submission) -> AcceptedResponse:
    """Name the prediction of an upload that was taken in, and where to go from it."""
    prediction = f"/api/v1/predictions/{submission.prediction_id}"
    links = PredictionLinks(
        prediction=prediction,
        events=f"{prediction}/events",
        scan=f"/api/v1/scans/{submission.scan_id}",
        page=f"/predictions/{submission.prediction_id}",
    )
    return AcceptedResponse(scan_id=submission.scan_id, prediction_id=submission.prediction_id, links=links)


@router.get("/{scan_id}", summary="Describe a scan", responses=problem_responses(401, 404))
def get_scan(scan_id: str, principal: ScanReader, resources: AnyResources) -> ScanResponse:
    """Return what is known about an uploaded scan, without its bytes."""
    with resources.sessions_for(principal).open() as session:
        return read_scan(session, principal, scan_id, reads=resources.reads)


@router.delete(
    "/{scan_id}",
    status_code=204,
    summary="Delete a scan and its results",
    responses=problem_responses(401, 403, 404),
)
def remove_scan(scan_id: str, principal: ScanDeleter, resources: AnyResources) -> None:
    """Remove the file, its results and what was said about it; the audit keeps that it happened.

    A prediction at work is stopped first; the file is removed when it has ended.
    """
    delete_scan(resources, principal, scan_id)
