"""The pages that begin and end a login."""

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from service.api.access.own_page import require_own_page
from service.api.access.principals import AnyResources, identify
from service.api.resources import Resources, resources_of
from service.audit import record
from service.db.rows import UserRow
from service.errors import ServiceError
from service.identity.actor import Actor
from service.identity.browsers import remember_browser
from service.identity.errors import CredentialsError, FirstPasswordEndedError
from service.identity.logins import Origin, close_login, open_login
from service.identity.second_factor import Means, has_second_factor
from service.identity.second_steps import LIFETIME, begin_second_step
from service.identity.throttle import TooManyAttemptsError
from service.web import account_wording
from service.web.access import (
    ByOwnForm,
    clear_login_cookie,
    local_path,
    origin_of,
    set_browser_cookie,
    set_login_cookie,
    set_second_step_cookie,
)
from service.web.language import _, marked
from service.web.proving import Attempt, attempt_of, check_password, said_of
from service.web.rendering import page

router = APIRouter(include_in_schema=False)

# Whoever sits at the browser next finds no page of the one before by going back.
FORGET = '"cache", "storage"'

Text = Annotated[str, Form(max_length=1024)]

# A page whose login has ended may still send something; the log-in page says that it did not arrive.
LOST = {
    "scan": marked("You were logged out, so the scan was not taken. Log in and choose it again."),
    "change": marked("You were logged out, so nothing was changed. Log in and do it again."),
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
    return login_page(request, target=target, error=_(LOST.get(lost, "")), leaves_provider=bool(left))


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
    attempt = attempt_of(request, resources, username=username, typed=password)
    stale = request.cookies.get(resources.cookie_name)
    opening = partial(_open, resources, attempt, stale=stale, origin=origin_of(request))
    try:
        begun = await resources.logins.run(opening)
    except (CredentialsError, FirstPasswordEndedError, TooManyAttemptsError) as refusal:
        return _refused(request, refusal, username=username, target=target)
    if isinstance(begun, Opened):
        return arrived(resources, begun, target)
    response = RedirectResponse(f"/login/code?{urlencode({'next': target})}", status_code=303)
    set_second_step_cookie(response, resources, begun.token, max_age=int(LIFETIME.total_seconds()))
    return response


def arrived(resources: Resources, opened: "Opened", target: str) -> RedirectResponse:
    """Send somebody who has logged in to where they wanted to go."""
    response = RedirectResponse(target, status_code=303)
    set_login_cookie(response, resources, opened.token)
    set_browser_cookie(response, resources, opened.browser)
    return response


@router.post("/logout")
def log_out(request: Request, resources: AnyResources, principal: ByOwnForm) -> Response:
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
class Opened:
    """What the browser gets for its cookies when a login has begun."""

    token: str = field(repr=False)
    browser: str = field(repr=False)


@dataclass(frozen=True)
class _HalfOpened:
    """What it gets when a code is asked for."""

    token: str = field(repr=False)


def _open(
    resources: Resources, attempt: Attempt, *, stale: str | None, origin: Origin
) -> Opened | _HalfOpened:
    user = check_password(resources, attempt)
    with resources.unrestricted_sessions.begin() as session:
        if stale:
            close_login(session, stale)
        if has_second_factor(user):
            return _HalfOpened(begin_second_step(session, user=user))
        return open_for(session, resources, user, browser=attempt.browser, origin=origin)


def open_for(
    session: Session,
    resources: Resources,
    user: UserRow,
    *,
    browser: str | None,
    origin: Origin,
    means: Means | None = None,
) -> Opened:
    """Begin the login of somebody who has proved who they are.

    Parameters
    ----------
    session : Session
    resources : Resources
    user : UserRow
    browser : str or None
        What the cookie of a known browser holds.
    origin : Origin
    means : Means, optional
        What the second step was passed with, for the audit.
    """
    token = open_login(session, user=user, lifetime=resources.lifetime, origin=origin)
    remembered = remember_browser(session, browser, user=user)
    record(
        session,
        actor=Actor(f"user:{user.id}", origin.address or ""),
        action="login.begin",
        subject_kind="user",
        subject_id=user.id,
        details=None if means is None else {"second_factor": means.value},
        organisation_id=user.organisation_id,
    )
    return Opened(token=token, browser=remembered)


def _refused(request: Request, refusal: ServiceError, *, username: str, target: str) -> HTMLResponse:
    if isinstance(refusal, TooManyAttemptsError):
        error = said_of(refusal)
        response = login_page(request, status=429, target=target, username=username, error=error)
        response.headers["Retry-After"] = str(refusal.retry_after_s)
        return response
    error = _(account_wording.LOGIN_REFUSALS[refusal.code])
    return login_page(request, status=401, target=target, username=username, error=error)
