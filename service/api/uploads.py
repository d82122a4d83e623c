"""``/api/v1/uploads``: a scan in parts, which a lost connection or a restart does not send back to its start.

The protocol is tus 1.0.0 (https://tus.io/protocols/resumable-upload), with its extensions creation,
expiration and termination. It ends where all bytes are there; handing them over is a request of ours.
"""

from collections.abc import Callable, Coroutine
from email.utils import formatdate
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from imaging.errors import ScanError
from service.api.access.principals import AnyResources, ScanUploader
from service.api.actions.resuming import (
    PART_TYPE,
    append_to_upload,
    begin_upload,
    complete_upload,
    find_upload,
)
from service.api.parameters import known_parameters_only
from service.api.payloads import AcceptedResponse, ScanFields
from service.api.problems.handlers import error_response
from service.api.problems.problem import problem_responses
from service.api.problems.refusals import TusVersionError
from service.api.scans import accepted
from service.errors import ServiceError
from service.storage import PartialUpload

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,termination"


class TusRoute(APIRoute):
    """A route whose every answer, a refusal too, says which protocol it is."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route's handler."""
        handle = super().get_route_handler()

        async def handle_tus(request: Request) -> Response:
            try:
                response = await handle(request)
            except (ScanError, ServiceError, RequestValidationError, HTTPException) as error:
                response = error_response(request, error)
                if isinstance(error, TusVersionError):
                    response.headers["Tus-Version"] = VERSION
            response.headers["Tus-Resumable"] = VERSION
            return response

        return handle_tus


def speaks_tus(
    tus_resumable: Annotated[
        str, Header(alias="Tus-Resumable", json_schema_extra={"enum": [VERSION]}, description="The protocol")
    ],
) -> None:
    """Refuse a client that speaks another version.

    Raises
    ------
    TusVersionError
    """
    if tus_resumable != VERSION:
        raise TusVersionError(expected=VERSION)


router = APIRouter(
    prefix="/api/v1/uploads",
    tags=["uploads"],
    responses=problem_responses(401, 403, 422),
    dependencies=[Depends(known_parameters_only)],
    route_class=TusRoute,
)
TUS = [Depends(speaks_tus)]


@router.options("", status_code=204, summary="Which protocol is spoken, and how much may be sent")
def describe_protocol(_principal: ScanUploader, resources: AnyResources) -> Response:
    """Answer as tus 1.0.0 asks."""
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(resources.settings.max_upload_bytes),
    }
    return Response(status_code=204, headers=headers)


@router.post(
    "",
    status_code=201,
    summary="Begin an upload in parts",
    response_class=Response,
    responses=problem_responses(412, 413, 429, 503),
    dependencies=TUS,
)
def begin(
    principal: ScanUploader,
    resources: AnyResources,
    upload_length: Annotated[
        int, Header(alias="Upload-Length", ge=0, le=1 << 53, description="Bytes of the whole file")
    ],
    upload_metadata: Annotated[
        str,
        Header(
            alias="Upload-Metadata",
            max_length=2048,
            description="`filename`, a blank and the file's name in base64",
        ),
    ],
) -> Response:
    """Make room for a scan: its bytes go to `Location`, and it waits for them until `Upload-Expires`."""
    upload = begin_upload(resources, principal, length_bytes=upload_length, metadata=upload_metadata)
    headers = {"Location": f"{router.prefix}/{upload.upload_id}"} | _expires(upload)
    return Response(status_code=201, headers=headers)


@router.head(
    "/{upload_id}",
    summary="How far an upload has come",
    response_class=Response,
    responses=problem_responses(404, 412),
    dependencies=TUS,
)
def tell_offset(upload_id: str, principal: ScanUploader, resources: AnyResources) -> Response:
    """Answer with `Upload-Offset`: how many bytes are there, whatever became of the request with them."""
    upload = find_upload(resources, principal, upload_id)
    return Response(headers={"Upload-Length": str(upload.length_bytes)} | _offset(upload))


@router.patch(
    "/{upload_id}",
    status_code=204,
    summary="Send the next bytes",
    response_class=Response,
    responses=problem_responses(404, 408, 409, 412, 413, 415, 423, 429, 503),
    dependencies=TUS,
    openapi_extra={
        "requestBody": {
            # A part may be empty.
            "required": False,
            "content": {PART_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def append(
    request: Request,
    upload_id: str,
    principal: ScanUploader,
    upload_offset: Annotated[
        int, Header(alias="Upload-Offset", ge=0, le=1 << 53, description="Where these bytes belong")
    ],
) -> Response:
    """Append bytes at the offset that the upload has; what has come when the connection breaks is kept."""
    upload = await append_to_upload(request, principal, upload_id, offset_bytes=upload_offset)
    return Response(status_code=204, headers=await to_thread.run_sync(_offset, upload))


@router.delete(
    "/{upload_id}",
    status_code=204,
    summary="Stop an upload",
    responses=problem_responses(404, 412, 423),
    dependencies=TUS,
)
def stop(upload_id: str, principal: ScanUploader, resources: AnyResources) -> None:
    """Remove what has come; whoever is sending a part is told that the upload is gone."""
    find_upload(resources, principal, upload_id).stop()


@router.post(
    "/{upload_id}/complete",
    status_code=202,
    summary="Hand a whole upload over and queue its prediction",
    responses=problem_responses(400, 404, 409, 423, 503),
)
async def complete(
    upload_id: str, principal: ScanUploader, resources: AnyResources, fields: ScanFields | None = None
) -> AcceptedResponse:
    """Check the file as `POST /api/v1/scans` does, and answer the same; once more, with the same prediction.

    A file that is refused is removed. Where a part of the service is away, the upload stays: ask again.
    """
    finish = partial(complete_upload, resources, principal, upload_id, fields or ScanFields())
    return accepted(await to_thread.run_sync(finish, limiter=resources.submitting))


def _offset(upload: PartialUpload) -> dict[str, str]:
    return {"Upload-Offset": str(upload.offset_bytes)} | _expires(upload)


def _expires(upload: PartialUpload) -> dict[str, str]:
    return {"Upload-Expires": formatdate(upload.expires_at, usegmt=True)}
