"""What operators and their tools ask: is the process alive, can it work, what has it done."""

import secrets
from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from service.api.access.principals import AnyResources, client_address
from service.api.problems.problem import problem_responses
from service.api.problems.refusals import MetricsNotAllowedError
from service.api.resources import Resources
from service.db.migrate import require_up_to_date
from service.logs import get_logger
from service.networks import lies_within, parse_networks
from service.registry import active_model

router = APIRouter(tags=["operation"])
log = get_logger(__name__)


class Health(BaseModel):
    """The process answers."""

    status: str = Field(examples=["alive"])


class Readiness(BaseModel):
    """Whether the service can take a scan to its result; `missing` names the parts that do not answer."""

    status: str = Field(examples=["ready"])
    missing: list[str] = Field(examples=[[]])


class NothingRegisteredError(LookupError):
    """No model version is active."""


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> Health:
    """Answer at once, whatever the rest of the service does."""
    return Health(status="alive")


@router.get(
    "/readyz",
    summary="Can the service work?",
    responses={200: {"model": Readiness}, 503: {"model": Readiness, "description": "Something is missing"}},
)
def readyz(resources: AnyResources) -> JSONResponse:
    """Try the database, the storage, the broker and the model registry."""
    missing = [part for part, answers in _readiness(resources).items() if not answers]
    body = Readiness(status="not ready" if missing else "ready", missing=missing)
    return JSONResponse(body.model_dump(), status_code=503 if missing else 200)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problem_responses(403)},
)
def metrics(request: Request, resources: AnyResources) -> Response:
    """Return the counters, the queue, the workers and what ended, to whom the settings allow."""
    _require_reader(request, resources)
    text = resources.metrics.exposition(resources.unrestricted_sessions, ready=_readiness(resources))
    return Response(text, media_type=CONTENT_TYPE_LATEST)


def _readiness(resources: Resources) -> dict[str, bool]:
    checks: dict[str, Callable[[Resources], None]] = {
        "database": _try_database,
        "storage": _try_storage,
        "broker": _try_broker,
        "model": _try_model,
    }
    return {name: _passes(name, check, resources) for name, check in checks.items()}


def _require_reader(request: Request, resources: Resources) -> None:
    networks = parse_networks(resources.settings.metrics_networks)
    token = resources.settings.metrics_token
    sent = request.headers.get("authorization", "")
    named = token is None or secrets.compare_digest(
        sent.encode(), f"Bearer {token.get_secret_value()}".encode()
    )
    if not named or not lies_within(client_address(request), networks):
        raise MetricsNotAllowedError


def _passes(name: str, check: Callable[[Resources], None], resources: Resources) -> bool:
    try:
        check(resources)
    except Exception as error:  # noqa: BLE001  (each part has its own errors; all mean that it is missing)
        log.warning("not_ready", part=name, reason=type(error).__name__)
        return False
    return True


def _try_database(resources: Resources) -> None:
    with resources.unrestricted_sessions() as session:
        require_up_to_date(session)


def _try_storage(resources: Resources) -> None:
    resources.storage.probe()


def _try_broker(resources: Resources) -> None:
    with resources.queue.connection_for_write(connect_timeout=2) as connection:
        connection.ensure_connection(max_retries=1, timeout=2)


def _try_model(resources: Resources) -> None:
    with resources.unrestricted_sessions() as session:
        if active_model(session) is None:
            raise NothingRegisteredError
