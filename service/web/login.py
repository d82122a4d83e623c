"""The pages that begin and end a login."""

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from service.api.access.principals import AnyResources, client_address, identify, require_own_page
from service.api.resources import Resources, resources_of
from service.audit import record
from service.identity.accounts import CredentialsError, find_user, verify_login
from service.identity.actor import Actor, anonymous
from service.identity.browsers import known_browser, remember_browser
from service.identity.logins import close_login, open_login
from service.identity.throttle import TooManyAttemptsError
from service.web.access import (
    ByForm,
    clear_login_cookie,
    local_path,
    set_browser_cookie,
    set_login_cookie,
)
from service.web.rendering import page

router = APIRouter(include_in_schema=False)

# Whoever sits at the browser next finds no page of the one before by going back.
FORGET = '"cache", "storage"'

Text = Annotated[str, Form(max_length=1024)]

# A page whose login has ended may still send something; the log-in page says that it did not arrive.
LOST = {
    "scan": "You were logged out, so the scan was not taken. Log in and choose it again.",
    "change": "You were logged out, so nothing was changed. Log in and do it again.",
}


@router.get("/login")
def show_login(
    request: Request,
    next: str = "/",  # noqa: A002  (the address's own word)
    lost: str = "",
    left: str = "",
) -> Response:
    """Ask for a name and a password, unless somebody is logged in already."""
    target = local_path(next)
    if identify(request) is not None:
        return RedirectResponse(target, status_code=303)
    return login_page(request, target=target, error=LOST.get(lost), leaves_provider=bool(left))


def login_page(
    request: Request,
    *,
    target: str,
    status: int = 200,
    username: str = "",
    error: str | None = None,
    leaves_provider: bool = False,
) -> HTMLResponse:
    """Draw the page that asks for a name and a password.

    Parameters
    ----------
    request : Request
    target : str
        Where to go after the login.
    status : int
    username : str
        What was typed before.
    error : str, optional
        Why it is shown again.
    leaves_provider : bool
        Whether somebody has just logged out whose login at the identity provider goes on.
    """
    provider = resources_of(request).provider
    return page(
        request,
        "login.html",
        principal=None,
        status=status,
        next=target,
        username=username,
        error=error,
        provider=None if provider is None else provider.name,
        provider_address=f"/login/provider?{urlencode({'next': target})}",
        leaves_provider=leaves_provider and provider is not None,
    )


@router.post("/login")
async def log_in(
    request: Request,
    resources: AnyResources,
    username: Text,
    password: Text,
    next: Text = "/",  # noqa: A002  (the form's own word)
) -> Response:
    """Begin a login with a fresh token, whatever cookie came along."""
    require_own_page(request)
    target = local_path(next)
    attempt = _Attempt(
        username=username,
        password=password,
        address=client_address(request),
        browser=request.cookies.get(resources.browser_cookie_name),
        stale=request.cookies.get(resources.cookie_name),
    )
    try:
        opened = await resources.logins.run(partial(_open, resources, attempt))
    except (CredentialsError, TooManyAttemptsError) as refusal:
        return _refused(request, refusal, username=username, target=target)
    response = RedirectResponse(target, status_code=303)
    set_login_cookie(response, resources, opened.token)
    set_browser_cookie(response, resources, opened.browser)
    return response


@router.post("/logout")
def log_out(request: Request, resources: AnyResources, principal: ByForm) -> Response:
    """End the login on the server and in the browser."""
    token = request.cookies.get(resources.cookie_name)
    with resources.sessions_for(principal).begin() as session:
        through_provider = close_login(session, token) if token else False
        record(
            session,
            actor=principal.actor,
            action="login.end",
            subject_kind="user",
            subject_id=principal.user_id,
        )
    response = RedirectResponse("/login?left=1" if through_provider else "/login", status_code=303)
    clear_login_cookie(response, resources)
    response.headers["Clear-Site-Data"] = FORGET
    return response


@dataclass(frozen=True)
class _Attempt:
    """A login as it was asked for; ``browser`` and ``stale`` are what the browser's cookies hold."""

    username: str
    password: str = field(repr=False)
    address: str
    browser: str | None = field(repr=False)
    stale: str | None = field(repr=False)


@dataclass(frozen=True)
class _Opened:
    """What the browser gets for its cookies."""

    token: str = field(repr=False)
    browser: str = field(repr=False)


def _open(resources: Resources, attempt: _Attempt) -> _Opened:
    counted = _count(resources, attempt)
    try:
        user = verify_login(
            resources.unrestricted_sessions, username=attempt.username, password=attempt.password
        )
    except CredentialsError:
        _record_refusal(resources, attempt)
        raise
    except BaseException:
        resources.throttle.withdrawn(counted)
        raise
    resources.throttle.succeeded(counted)
    with resources.unrestricted_sessions.begin() as session:
        if attempt.stale:
            close_login(session, attempt.stale)
        token = open_login(session, user=user, lifetime=resources.lifetime)
        browser = remember_browser(session, attempt.browser, user=user)
        record(
            session,
            actor=Actor(f"user:{user.id}", attempt.address),
            action="login.begin",
            subject_kind="user",
            subject_id=user.id,
            organisation_id=user.organisation_id,
        )
    return _Opened(token=token, browser=browser)


def _count(resources: Resources, attempt: _Attempt) -> str:
    with resources.unrestricted_sessions() as session:
        browser_id = known_browser(session, attempt.browser, username=attempt.username)
    try:
        return resources.throttle.begin(
            username=attempt.username, address=attempt.address, browser_id=browser_id
        )
    except TooManyAttemptsError:
        _note_throttled(resources, attempt)
        raise


def _record_refusal(resources: Resources, attempt: _Attempt) -> None:
    with resources.unrestricted_sessions.begin() as session:
        user = find_user(session, username=attempt.username)
        record(
            session,
            actor=anonymous(attempt.address),
            action="login.refused",
            subject_kind="user",
            # Never what was typed: people type their password into the wrong field.
            subject_id="unknown" if user is None else user.id,
            organisation_id=None if user is None else user.organisation_id,
        )


def _note_throttled(resources: Resources, attempt: _Attempt) -> None:
    with resources.unrestricted_sessions() as session:
        resources.reads.note(
            session,
            anonymous(attempt.address),
            action="login.throttled",
            subject_kind="user",
            subject_id="unknown",
        )


def _refused(
    request: Request, refusal: CredentialsError | TooManyAttemptsError, *, username: str, target: str
) -> HTMLResponse:
    if isinstance(refusal, TooManyAttemptsError):
        minutes = refusal.retry_after_s // 60 + 1
        error = f"Too many attempts. Try again in {minutes} minute{'s' if minutes > 1 else ''}."
        response = login_page(request, status=429, target=target, username=username, error=error)
        response.headers["Retry-After"] = str(refusal.retry_after_s)
        return response
    error = "The user name or the password is not right."
    return login_page(request, status=401, target=target, username=username, error=error)
