"""The OpenAPI document and its reader, served from here: no content network, no inline script."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse

from service.api import account_payloads, payloads
from service.api.edge.brakes import NOT_COUNTED
from service.api.problems.problem import MEDIA_TYPE, Problem, problem_responses
from service.correlation import REQUEST_ID_HEADER, REQUEST_ID_LENGTH

DESCRIPTION = """Hand over a resting-state fMRI scan, follow its prediction, read the probability of ADHD.

Research software for decision *support*: it never diagnoses. Errors are problem documents (RFC 9457) whose
`code` is stable."""

TAGS = [
    {"name": "scans", "description": "Uploaded files"},
    {"name": "predictions", "description": "One model on one scan"},
    {"name": "account", "description": "One's own logins; asked for under a login, never with an API key"},
    {"name": "administration", "description": "Accounts, API keys, model versions, counts of reviews, audit"},
    {"name": "operation", "description": "For operators and their tools"},
]

# What comes beside an answer: always, and with a refusal of a certain status.
HEADERS = {
    REQUEST_ID_HEADER: {
        "required": True,
        "description": "Names the request in the log; one that the client sent well-formed is kept",
        "schema": {"type": "string", "minLength": 16, "maxLength": REQUEST_ID_LENGTH},
    },
    "Cache-Control": {"required": True, "schema": {"const": "no-store"}},
    "Retry-After": {
        "required": True,
        "description": "Seconds after which to try again",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"required": True, "schema": {"const": 'Bearer realm="RestNet"'}},
}
WITH_EXAMPLES = vars(payloads) | vars(account_payloads)
ALWAYS = (REQUEST_ID_HEADER, "Cache-Control")
BY_STATUS = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>RestNet REST API</title>
<script src="/static/theme.js"></script>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/vendor/swagger-ui.css">
<link rel="stylesheet" href="/static/docs.css">
</head>
<body>
<nav class="back" aria-label="Main"><a href="/">Back to RestNet</a></nav>
<div id="reader"></div>
<noscript>Without JavaScript, read <a href="/api/openapi.json">openapi.json</a>.</noscript>
<script src="/static/vendor/swagger-ui-bundle.js"></script>
<script src="/static/docs.js" type="module"></script>
</body>
</html>
"""

router = APIRouter(include_in_schema=False)


@router.get("/api/docs")
def read_docs() -> HTMLResponse:
    """Show the OpenAPI document to a person."""
    return HTMLResponse(_PAGE)


def describe(app: FastAPI) -> None:
    """Make the application answer ``/api/openapi.json`` with the problem schema and our wording in it."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, description=DESCRIPTION, tags=TAGS, routes=app.routes
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = Problem.model_json_schema()
            document["components"]["headers"] = HEADERS
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    _describe_problems(path, operation)
                    _describe_headers(operation["responses"])
            # FastAPI drops every null, also those of the examples, which a client would then miss.
            for name, schema in schemas.items():
                if "example" in schema and name != "Problem":
                    schema["example"] = WITH_EXAMPLES[name].model_json_schema()["example"]
            # With https the cookie has a prefix to its name.
            document["components"]["securitySchemes"]["Login"]["name"] = app.state.resources.cookie_name
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI documents


def _describe_problems(path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    # Any route may be sent too much or meet a fault of ours; all but this one may need what does not answer.
    anywhere = [413, 500] if path == "/healthz" else [413, 500, 503]
    if path not in NOT_COUNTED:
        anywhere += [401, 403, 429]
    if "requestBody" in operation:
        anywhere += [408]
    for status, described in problem_responses(*anywhere).items():
        responses.setdefault(str(status), described)
    # FastAPI describes its own validation errors; ours are problem documents.
    validation = responses.get("422", {}).get("content", {})
    if "application/json" in validation:
        validation.pop("application/json")
        validation["application/problem+json"] = {"schema": {"$ref": "#/components/schemas/Problem"}}


def _describe_headers(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        names = list(ALWAYS)
        if status in BY_STATUS and MEDIA_TYPE in response["content"]:
            names.append(BY_STATUS[status])
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
