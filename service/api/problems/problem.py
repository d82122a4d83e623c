"""Problem documents (RFC 9457): the one shape of every error that REST answers with."""

from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from service.api.problems.remedies import remedy

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """Why a request was not done."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "urn:restnet:error:prediction_not_found",
                "title": "Prediction not found",
                "status": 404,
                "detail": "expected the identifier of a prediction, found none that this account can see",
                "code": "prediction_not_found",
                "instance": "/api/v1/predictions/5e0f3b52-90a4-4f6c-9d43-8a3b1f3d2c11",
            }
        }
    )

    type: str = Field(description="`urn:restnet:error:` and the code")
    title: str = Field(description="The code in words")
    status: int
    detail: str = Field(description="What was expected and what was found")
    code: str = Field(description="Stable; programs react to this")
    instance: str = Field(description="The path that was asked for")
    details: dict[str, Any] | None = Field(default=None, description="The figures of the refusal, by name")
    reference: str | None = Field(default=None, description="Of an internal error, for the operator")
    remedy: str | None = Field(default=None, description="What a person can do, where there is more to say")


def problem(
    *,
    status: int,
    code: str,
    detail: str,
    instance: str,
    details: dict[str, Any] | None = None,
    reference: str | None = None,
) -> Problem:
    """Build a problem document; its type and title follow from the code."""
    return Problem(
        type=f"urn:restnet:error:{code}",
        title=code.replace("_", " ").capitalize(),
        status=status,
        detail=detail,
        code=code,
        instance=instance,
        details=details or None,
        reference=reference,
        remedy=remedy(code),
    )


def problem_response(document: Problem, *, headers: dict[str, str] | None = None) -> JSONResponse:
    """Answer with a problem document."""
    return JSONResponse(
        document.model_dump(mode="json", exclude_none=True),
        status_code=document.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries for the problems that a route can answer with."""
    titles = {
        400: "The body breaks the rules of its format",
        401: "No API key or login, or one that is not valid",
        403: "This account may not do this",
        404: "Nothing under this identifier",
        408: "The body stopped coming, or came too slowly",
        409: "The state does not allow this",
        410: "The stored file is gone",
        412: "Another version of the protocol",
        413: "The body is too large",
        415: "The body is of another kind",
        422: "A value or a scan that cannot be accepted; `code` says which",
        423: "Another request works on it",
        429: "Too many requests; `Retry-After` says how long to wait",
        500: "A fault of the service; `reference` names its line in the log",
        503: "A part that is needed does not answer, or has no place left",
    }
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": titles[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }
