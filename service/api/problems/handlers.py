"""From a refusal to an HTTP status: the only place where the two meet."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from imaging.errors import ScanError
from service import (
    cohort_filters,
    cohorts,
    enclosure,
    evaluations,
    explanations,
    jobs,
    rates,
    registry,
    report,
    reviews,
    scoring,
    storage,
)
from service.api.edge import upload_slots
from service.api.patterns import IN_WORDS
from service.api.problems import refusals
from service.api.problems.problem import Problem, problem, problem_response
from service.audit import chain
from service.drift import errors as drift
from service.errors import ServiceError, as_json
from service.identity import (
    api_keys,
    invitations,
    logins,
    organisations,
    passwords,
    roles,
    scopes,
    second_factor,
    throttle,
)
from service.identity import errors as identity
from service.logs import get_logger
from service.provider import errors as provider

STATUSES: dict[type[Exception], int] = {
    ScanError: 422,
    identity.AccountNotFoundError: 404,
    identity.AdministratorNoMoreError: 403,
    identity.CredentialsError: 401,
    identity.FirstPasswordEndedError: 401,
    identity.LastAdministratorError: 409,
    identity.OwnAccountError: 409,
    identity.PasswordUnchangedError: 422,
    roles.RoleError: 422,
    identity.UsernameError: 422,
    identity.UsernameTakenError: 409,
    api_keys.AccountDisabledError: 409,
    api_keys.ApiKeyNameError: 422,
    api_keys.ApiKeyNotFoundError: 404,
    chain.AuditHeadMissingError: 500,
    cohort_filters.CohortFilterError: 422,
    cohorts.CohortNotKnownError: 422,
    cohorts.CohortNotUsableError: 409,
    cohorts.CohortReleaseUnknownError: 422,
    cohorts.CohortTooSmallError: 422,
    drift.DriftAlarmNotFoundError: 404,
    drift.DriftReferenceNotFoundError: 404,
    drift.DriftReferenceOverError: 409,
    drift.DriftReferenceTooSmallError: 422,
    drift.DriftReferenceWaitingError: 409,
    enclosure.EnclosureUnavailableError: 503,
    enclosure.ReaderDiedError: 422,
    enclosure.ReaderMemoryError: 422,
    enclosure.ReaderTimeLimitError: 422,
    evaluations.EvaluationCohortTooSmallError: 422,
    evaluations.EvaluationFilterError: 422,
    evaluations.EvaluationNotFoundError: 404,
    evaluations.EvaluationOriginAwayError: 503,
    evaluations.EvaluationOverError: 409,
    evaluations.EvaluationSetComparedError: 409,
    evaluations.EvaluationSetNameTakenError: 409,
    evaluations.EvaluationSetNotFoundError: 404,
    evaluations.NoEvaluationSetError: 409,
    explanations.ExplanationFileError: 500,
    invitations.InvitationNotFoundError: 404,
    invitations.InvitationNotValidError: 404,
    jobs.ExplanationNotAvailableError: 409,
    jobs.PredictionFinishedError: 409,
    jobs.PredictionNotFinishedError: 409,
    jobs.PredictionNotFoundError: 404,
    jobs.PredictionNotRetryableError: 409,
    jobs.ScanGivenUpError: 409,
    jobs.TrainingRunNotFoundError: 404,
    jobs.TrainingRunNotResumableError: 409,
    jobs.TrainingRunOverError: 409,
    logins.LoginNotFoundError: 404,
    organisations.OrganisationNameError: 422,
    organisations.OrganisationNameTakenError: 409,
    organisations.OrganisationNotFoundError: 404,
    passwords.PasswordGuessableError: 422,
    passwords.PasswordLengthError: 422,
    provider.ProviderAccountError: 403,
    provider.ProviderAnswerError: 400,
    provider.ProviderRefusedError: 403,
    provider.ProviderUnavailableError: 503,
    rates.RateLimitError: 429,
    refusals.ApiKeyNotValidError: 401,
    refusals.AuthenticationRequiredError: 401,
    refusals.BadRequestError: 400,
    refusals.CrossSiteRequestError: 403,
    refusals.DatabaseUnavailableError: 503,
    refusals.ExplanationNotFoundError: 404,
    refusals.ExplanationNotReadyError: 409,
    refusals.NotNormalisedError: 404,
    refusals.FieldsNotValidError: 422,
    refusals.InstallationOnlyError: 403,
    refusals.IdempotencyKeyReusedError: 422,
    refusals.InternalError: 500,
    refusals.LoginRequiredError: 403,
    refusals.MediaTypeError: 415,
    refusals.MethodNotAllowedError: 405,
    refusals.MetricsNotAllowedError: 403,
    refusals.MultipartError: 400,
    refusals.NotFoundError: 404,
    refusals.PasswordChangeRequiredError: 403,
    refusals.PermissionDeniedError: 403,
    refusals.RequestTimeoutError: 408,
    refusals.RequestTooLargeError: 413,
    refusals.RouteNotFoundError: 404,
    refusals.ScanMissingError: 422,
    refusals.ScopeMissingError: 403,
    refusals.SecondFactorRequiredError: 403,
    refusals.TooManyStreamsError: 503,
    refusals.TusVersionError: 412,
    second_factor.CodeNotValidError: 401,
    second_factor.SecondFactorSetError: 409,
    registry.CheckpointDamagedError: 409,
    registry.CheckpointMissingError: 409,
    registry.GateNotPassedError: 409,
    registry.ModelAlreadyActiveError: 409,
    registry.ModelAmbiguousError: 409,
    registry.ModelNotFoundError: 404,
    registry.ModelNotInShadowError: 409,
    registry.NoActiveModelError: 409,
    registry.NothingToRollBackToError: 409,
    registry.PromotionConflictError: 409,
    registry.ReasonNotValidError: 422,
    registry.ShadowTakenError: 409,
    report.ReportNotReadyError: 409,
    reviews.OverrideAgreesError: 409,
    scopes.ScopeError: 422,
    scoring.NothingToRescoreError: 409,
    scoring.RescoreNotFoundError: 404,
    scoring.RescoreOverError: 409,
    scoring.RescoreRunningError: 409,
    scopes.ScopeNotAllowedError: 422,
    storage.EncryptionKeyFileError: 500,
    storage.EncryptionKeyMissingError: 503,
    storage.StorageKeyError: 500,
    storage.StorageUnavailableError: 503,
    storage.StorageUrlError: 500,
    storage.StoredFileDamagedError: 500,
    storage.StoredFileMissingError: 410,
    storage.TooManyUnfinishedUploadsError: 429,
    storage.UploadBusyError: 423,
    storage.UploadIncompleteError: 409,
    storage.UploadNotFoundError: 404,
    storage.UploadOffsetError: 409,
    storage.UploadTooLargeError: 413,
    throttle.TooManyAttemptsError: 429,
    upload_slots.TooManyUploadsError: 429,
    upload_slots.UploadsFullError: 503,
}
"""Looked up along a class's bases, so that one entry covers a family such as the scan's refusals."""

TRY_LATER = (
    rates.RateLimitError,
    refusals.TooManyStreamsError,
    storage.TooManyUnfinishedUploadsError,
    storage.UploadBusyError,
    throttle.TooManyAttemptsError,
    upload_slots.TooManyUploadsError,
    upload_slots.UploadsFullError,
)
"""Refusals that say when to come back."""

OUTAGE_RETRY_S = 10
"""How soon a client may try again what is away for now, in seconds."""

_READ_BY_PEOPLE = ("/report.html", "/report.pdf", "/change-plan.html", "/change-plan.pdf")
"""What the pages link to for a tab of its own, although programs ask for it too."""

Renderer = Callable[[Request, Problem], Response]
"""How an error reaches a person: a page instead of a document."""

log = get_logger(__name__)


def status_of(error: Exception) -> int | None:
    """Return the status of a refusal, None for what the table does not know."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), None)


def problem_of(request: Request, error: Exception) -> Problem:
    """Turn any exception into a problem document.

    A refusal keeps its own code and sentence. Anything else is our fault: the traceback goes to the log under
    a reference, and the reference is all that leaves the service.
    """
    refusal = _as_refusal(request, error)
    status = error.status_code if isinstance(error, HTTPException) else status_of(refusal) or 500
    # For the request's line in the log: whoever tries what is refused is told of, and by which rule.
    request.scope["code"] = refusal.code
    return problem(
        status=status,
        code=refusal.code,
        detail=str(refusal),
        instance=request.url.path,
        details={} if isinstance(refusal, refusals.InternalError) else as_json(refusal.details()),
        reference=refusal.reference if isinstance(refusal, refusals.InternalError) else None,
    )


def _as_refusal(request: Request, error: Exception) -> ScanError | ServiceError:
    if isinstance(error, storage.StorageUnavailableError):
        log.error("storage_unavailable", found=error.found)
    if isinstance(error, ScanError | ServiceError) and status_of(error) not in {None, 500}:
        return error
    if isinstance(error, RequestValidationError):
        return refusals.FieldsNotValidError(field_problems(error.errors()))
    if isinstance(error, HTTPException) and error.status_code < 500:
        return _as_http_refusal(request, error)
    if isinstance(error, OperationalError):
        log.error("database_unavailable", exc_info=error)
        return refusals.DatabaseUnavailableError()
    reference = secrets.token_hex(6)
    route = getattr(request.scope.get("route"), "path", "unmatched")
    log.error("internal_error", reference=reference, route=route, exc_info=error)
    return refusals.InternalError(reference=reference)


def _as_http_refusal(request: Request, error: HTTPException) -> ServiceError:
    if error.status_code == 404:
        return refusals.RouteNotFoundError()
    if error.status_code == 405:
        return refusals.MethodNotAllowedError(allowed=", ".join(_methods_of(request)))
    if error.status_code == 408:
        return refusals.RequestTimeoutError()
    if error.status_code == 413:
        return refusals.RequestTooLargeError()
    return refusals.BadRequestError()


def _methods_of(request: Request) -> list[str]:
    """Every method of the path; the route that refused knows only its own."""
    path = request.url.path
    routes = [route for route in iter_route_contexts(request.app.routes) if route.methods]
    fitting = [route for route in routes if route.path_regex.match(path)]
    # A path that is written out is another one than that with an identifier in the same place.
    own = [route for route in fitting if route.path == path] or fitting
    found = {method for route in own for method in route.methods or ()}
    # The static files are a mount, which has none to tell.
    return sorted(found) or ["GET", "HEAD"]


def field_problems(errors: Any) -> list[dict[str, str]]:
    """Say where each value is wrong and why, without the value, which may describe a person."""
    return [
        {"where": ".".join(str(part) for part in error["loc"]), "problem": _in_words(error)}
        for error in errors
    ]


def _in_words(error: Mapping[str, Any]) -> str:
    context = error.get("ctx", {})
    # Pydantic would put a word of its own before one of ours.
    if "error" in context:
        return str(context["error"])
    # And it would show the pattern; its other sentences are for people.
    words = IN_WORDS.get(context.get("pattern", ""))
    return str(error["msg"]) if words is None else f"expected {words}, found something else"


def error_response(request: Request, error: Exception, *, page: Renderer | None = None) -> Response:
    """Answer an exception: a problem document, or a page where a person's browser asked for one."""
    document = problem_of(request, error)
    waiting = _waiting(error, document.status)
    if page is not None and wants_page(request):
        shown = page(request, document)
        shown.headers.update(waiting)
        return shown
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if document.status == 405:
        headers["Allow"] = ", ".join(_methods_of(request))
    if document.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="RestNet"'
    return problem_response(document, headers=headers | waiting)


def _waiting(error: Exception, status: int) -> dict[str, str]:
    if isinstance(error, TRY_LATER):
        return {"Retry-After": str(error.retry_after_s)}
    return {"Retry-After": str(OUTAGE_RETRY_S)} if status == 503 else {}


def wants_page(request: Request) -> bool:
    """Whether a request came from a person's browser for one of the pages, or for a part of one."""
    path = request.url.path
    if path.startswith("/api/"):
        return path.endswith(_READ_BY_PEOPLE) and _navigates(request)
    asked = request.headers
    return path not in {"/healthz", "/readyz", "/metrics"} and (
        "hx-request" in asked or "text/html" in asked.get("accept", "")
    )


def _navigates(request: Request) -> bool:
    """Whether a browser asks for what it will show in a tab; a program with an API key never does."""
    asked = request.headers
    if "authorization" in asked:
        return False
    mode = asked.get("sec-fetch-mode")
    # Older browsers do not say.
    return "text/html" in asked.get("accept", "") if mode is None else mode == "navigate"


def install_error_handlers(app: FastAPI, *, page: Renderer | None) -> None:
    """Make every refusal leave the application as a problem document or an error page."""

    async def handle(request: Request, error: Exception) -> Response:
        return error_response(request, error, page=page)

    for kind in (ScanError, ServiceError, RequestValidationError, HTTPException, OperationalError):
        app.add_exception_handler(kind, handle)
