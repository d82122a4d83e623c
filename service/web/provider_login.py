"""The way to the identity provider and back; a failure shows the log-in page, where a password serves."""

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from service.api.access.principals import AnyResources, client_address
from service.api.problems.handlers import status_of
from service.api.problems.refusals import RouteNotFoundError
from service.api.resources import Resources, resources_of
from service.audit import record
from service.errors import ServiceError
from service.identity.actor import Actor, anonymous
from service.identity.logins import Origin, close_login, open_login
from service.logs import get_logger
from service.provider.accounts import account_of
from service.provider.client import CALLBACK, Claims, IdentityProvider
from service.provider.errors import (
    ProviderAccountError,
    ProviderAnswerError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from service.provider.pending import LIFETIME, PendingLogin, note_departure, take_return
from service.web.access import local_path, origin_of, set_login_cookie
from service.web.language import _, marked
from service.web.login import login_page

router = APIRouter(include_in_schema=False)
log = get_logger(__name__)

# Of the audit: how somebody tried to log in.
THROUGH_PROVIDER = {"through": "identity-provider"}

SAID: dict[type[ServiceError], str] = {
    ProviderUnavailableError: marked(
        "%(name)s does not answer. Try again shortly, or log in with a password."
    ),
    ProviderAnswerError: marked("That login was not completed, or took too long. Begin it again."),
    ProviderRefusedError: marked("%(name)s did not let you in."),
    ProviderAccountError: marked(
        "%(name)s knows you, but you have no access here. Ask whoever runs this service."
    ),
}


def the_provider(request: Request) -> IdentityProvider:
    """Return the provider that the settings name; without one these routes are not there."""
    provider = resources_of(request).provider
    if provider is None:
        raise RouteNotFoundError
    return provider


Provider = Annotated[IdentityProvider, Depends(the_provider)]


@router.get("/login/provider")
async def depart(
    request: Request,
    resources: AnyResources,
    provider: Provider,
    next: str = "/",  # noqa: A002  (the address's own word)
) -> Response:
    """Send somebody to the provider."""
    target = local_path(next)
    try:
        departure = await provider.depart(request)
    except ProviderUnavailableError as refusal:
        return await _told_and_refused(request, resources, provider, refusal, target=target)
    token = await to_thread.run_sync(partial(_note, resources, departure.state, target))
    response = RedirectResponse(departure.url, status_code=303)
    _set_cookie(response, resources, token, max_age=int(LIFETIME.total_seconds()))
    return response


@router.get(CALLBACK)
async def arrive(request: Request, resources: AnyResources, provider: Provider) -> Response:
    """Take somebody back from the provider and begin their login."""
    pending = await to_thread.run_sync(_take, resources, request.cookies.get(_cookie_name(resources)))
    target = "/" if pending is None else pending.target
    try:
        if pending is None:
            raise ProviderAnswerError
        claims = await provider.arrive(request, pending.state)
        stale = request.cookies.get(resources.cookie_name)
        opening = partial(_open, resources, provider, claims, origin=origin_of(request), stale=stale)
        token = await to_thread.run_sync(opening)
    except tuple(SAID) as refusal:
        response = await _told_and_refused(request, resources, provider, refusal, target=target)
    else:
        response = RedirectResponse(target, status_code=303)
        set_login_cookie(response, resources, token)
    _set_cookie(response, resources, "", max_age=0)
    return response


@router.get("/login/provider/logout")
async def depart_for_good(request: Request, resources: AnyResources, provider: Provider) -> Response:
    """Send somebody to where they end their login at the provider too."""
    back = f"{str(resources.settings.public_url).rstrip('/')}/login"
    try:
        url = await provider.farewell(back=back)
    except ProviderUnavailableError as refusal:
        return _refused(request, provider, refusal, target="/")
    return RedirectResponse(url or "/login", status_code=303)


def _note(resources: Resources, state: dict[str, object], target: str) -> str:
    with resources.unrestricted_sessions.begin() as session:
        return note_departure(session, state=state, target=target)


def _take(resources: Resources, token: str | None) -> PendingLogin | None:
    if not token:
        return None
    with resources.unrestricted_sessions.begin() as session:
        return take_return(session, token)


def _open(
    resources: Resources, provider: IdentityProvider, claims: Claims, *, origin: Origin, stale: str | None
) -> str:
    address = origin.address or ""
    with resources.unrestricted_sessions.begin() as session:
        user = account_of(session, resources.settings, issuer=provider.issuer, claims=claims, address=address)
        if stale:
            close_login(session, stale)
        token = open_login(
            session, user=user, lifetime=resources.lifetime, through_provider=True, origin=origin
        )
        record(
            session,
            actor=Actor(f"user:{user.id}", address),
            action="login.begin",
            subject_kind="user",
            subject_id=user.id,
            details=THROUGH_PROVIDER,
            organisation_id=user.organisation_id,
        )
    return token


async def _told_and_refused(
    request: Request,
    resources: Resources,
    provider: IdentityProvider,
    refusal: ServiceError,
    *,
    target: str,
) -> Response:
    await to_thread.run_sync(partial(_record_refusal, resources, refusal, client_address(request)))
    return _refused(request, provider, refusal, target=target)


def _record_refusal(resources: Resources, refusal: ServiceError, address: str) -> None:
    details = THROUGH_PROVIDER | {"code": refusal.code}
    with resources.unrestricted_sessions() as session:
        # Anybody may send an answer without a login at the provider: once an address, for each reason.
        resources.reads.note(
            session,
            anonymous(address),
            action="login.refused",
            subject_kind="user",
            subject_id="unknown",
            details=details,
        )


def _refused(request: Request, provider: IdentityProvider, refusal: ServiceError, *, target: str) -> Response:
    # The cause names no person: it is a class of error, and never the provider's own words.
    log.warning("provider_login_failed", code=refusal.code, cause=type(refusal.__cause__).__name__)
    said = _(SAID[type(refusal)], name=provider.name)
    return login_page(request, status=status_of(refusal) or 500, target=target, error=said)


def _cookie_name(resources: Resources) -> str:
    return f"{resources.cookie_name}-provider"


def _set_cookie(response: Response, resources: Resources, token: str, *, max_age: int) -> None:
    response.set_cookie(
        _cookie_name(resources),
        token,
        max_age=max_age,
        path="/",
        secure=resources.https,
        httponly=True,
        # Not strict: the provider sends the browser back here.
        samesite="lax",
    )
