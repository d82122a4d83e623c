"""The pages that begin and end a login."""

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from service.api.principals import AnyResources, client_address, identify, require_own_page
from service.api.resources import Resources
from service.audit import record
from service.identity.accounts import CredentialsError, find_user, verify_login
from service.identity.actor import Actor, anonymous
from service.identity.logins import TooManyAttemptsError, close_login, open_login
from service.web.access import ByForm, clear_login_cookie, local_path, set_login_cookie
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
) -> Response:
    """Ask for a name and a password, unless somebody is logged in already."""
    target = local_path(next)
    if identify(request) is not None:
        return RedirectResponse(target, status_code=303)
    return page(request, "login.html", principal=None, next=target, username="", error=LOST.get(lost))


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
    address = client_address(request)
    target = local_path(next)
    try:
        token = await _begin(
            resources,
            username=username,
            password=password,
            address=address,
            stale=request.cookies.get(resources.cookie_name),
        )
    except (CredentialsError, TooManyAttemptsError) as refusal:
        return _refused(request, refusal, username=username, target=target)
    response = RedirectResponse(target, status_code=303)
    set_login_cookie(response, resources, token)
    return response


@router.post("/logout")
def log_out(request: Request, resources: AnyResources, principal: ByForm) -> Response:
    """End the login on the server and in the browser."""
    token = request.cookies.get(resources.cookie_name)
    with resources.sessions_for(principal).begin() as session:
        if token:
            close_login(session, token)
        record(
            session,
            actor=principal.actor,
            action="login.end",
            subject_kind="user",
            subject_id=principal.user_id,
        )
    response = RedirectResponse("/login", status_code=303)
    clear_login_cookie(response, resources)
    response.headers["Clear-Site-Data"] = FORGET
    return response


async def _begin(
    resources: Resources, *, username: str, password: str, address: str, stale: str | None
) -> str:
    try:
        moment = resources.throttle.begin(username=username, address=address)
    except TooManyAttemptsError:
        await to_thread.run_sync(_note_throttled, resources, address)
        raise
    try:
        token = await resources.logins.run(
            partial(_open, resources, username=username, password=password, address=address, stale=stale)
        )
    except CredentialsError:
        raise
    except BaseException:
        resources.throttle.withdrawn(username=username, address=address, moment=moment)
        raise
    resources.throttle.succeeded(username=username, address=address, moment=moment)
    return token


def _open(resources: Resources, *, username: str, password: str, address: str, stale: str | None) -> str:
    try:
        user = verify_login(resources.unrestricted_sessions, username=username, password=password)
    except CredentialsError:
        _record_refusal(resources, username=username, address=address)
        raise
    with resources.unrestricted_sessions.begin() as session:
        token = open_login(session, user=user, lifetime=resources.lifetime)
        if stale:
            close_login(session, stale)
        actor = Actor(f"user:{user.id}", address)
        record(
            session,
            actor=actor,
            action="login.begin",
            subject_kind="user",
            subject_id=user.id,
            organisation_id=user.organisation_id,
        )
    return token


def _record_refusal(resources: Resources, *, username: str, address: str) -> None:
    with resources.unrestricted_sessions.begin() as session:
        user = find_user(session, username=username)
        record(
            session,
            actor=anonymous(address),
            action="login.refused",
            subject_kind="user",
            # Never what was typed: people type their password into the wrong field.
            subject_id="unknown" if user is None else user.id,
            organisation_id=None if user is None else user.organisation_id,
        )


def _note_throttled(resources: Resources, address: str) -> None:
    with resources.unrestricted_sessions() as session:
        resources.reads.note(
            session,
            anonymous(address),
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
        response = page(
            request, "login.html", principal=None, status=429, next=target, username=username, error=error
        )
        response.headers["Retry-After"] = str(refusal.retry_after_s)
        return response
    error = "The user name or the password is not right."
    return page(
        request, "login.html", principal=None, status=401, next=target, username=username, error=error
    )
