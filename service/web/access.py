"""Logins for the pages: who is there, and that a form was sent by our own page."""

import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response

from service.api.access.own_page import CSRF_HEADER, SAFE_METHODS, require_csrf_token, require_own_page
from service.api.access.principal import Principal, require, require_settled
from service.api.access.principals import client_address, identify
from service.api.problems.refusals import AuthenticationRequiredError
from service.api.resources import Resources
from service.identity.browsers import REMEMBERED, browser_name
from service.identity.logins import Origin
from service.identity.permissions import Permission

# The largest of the small forms is the one for a key, with a box for each scope.
MAX_FIELDS = 16
# What is done at the pages' own addresses, below those of the pages that the forms stand on.
ADMINISTERED = re.compile(
    r"/(?:(?:users|models|training)/[0-9A-Za-z-]{36}|users|keys|models|evaluation|training|drift|audit)(?=/|$)"
)


def logged_in(request: Request) -> Principal:
    """Require a login; without one the error page sends the reader to the log-in page.

    For the account's own page and for logging out, which serve also who has something to do there first.

    Raises
    ------
    AuthenticationRequiredError
        If nobody is logged in. An API key is for REST alone, where its scopes are looked at.
    """
    principal = identify(request)
    if principal is None or principal.csrf_token is None:
        raise AuthenticationRequiredError
    return principal


async def by_own_form(request: Request, principal: Annotated[Principal, Depends(logged_in)]) -> Principal:
    """Require a login and a small form that carries its token.

    Raises
    ------
    CrossSiteRequestError
        If another site sent the request or the token is not the login's.
    """
    require_own_page(request)
    token = request.headers.get(CSRF_HEADER)
    if token is None:
        async with request.form(max_files=0, max_fields=MAX_FIELDS) as form:
            sent = form.get("csrf_token")
            token = sent if isinstance(sent, str) else None
    require_csrf_token(principal, token)
    return principal


OnOwnPage = Annotated[Principal, Depends(logged_in)]
ByOwnForm = Annotated[Principal, Depends(by_own_form)]


def on_page(principal: OnOwnPage) -> Principal:
    """Require a login with nothing left to do; otherwise the error page leads to the account's own page."""
    require_settled(principal)
    return principal


def by_form(principal: ByOwnForm) -> Principal:
    """Require the same and a form of ours."""
    require_settled(principal)
    return principal


OnPage = Annotated[Principal, Depends(on_page)]
ByForm = Annotated[Principal, Depends(by_form)]


def allowed_on_page(permission: Permission) -> Callable[[Principal], Principal]:
    """Make a dependency that requires a login whose role has a permission."""

    def check(principal: OnPage) -> Principal:
        require(principal, permission)
        return principal

    return check


def allowed_by_form(permission: Permission) -> Callable[[Principal], Principal]:
    """Make a dependency that requires a form of our own and a login whose role has a permission."""

    def check(principal: ByForm) -> Principal:
        require(principal, permission)
        return principal

    return check


def origin_of(request: Request) -> Origin:
    """Return what the owner of a login that begins with a request will know it by."""
    return Origin(
        address=client_address(request) or None,
        browser=browser_name(request.headers.get("user-agent", "")),
    )


def set_login_cookie(response: Response, resources: Resources, token: str) -> None:
    """Give the browser its login: unreadable for scripts, sent to this host only."""
    response.set_cookie(
        resources.cookie_name,
        token,
        max_age=resources.settings.session_lifetime_s,
        path="/",
        secure=resources.https,
        httponly=True,
        samesite="lax",
    )


def set_browser_cookie(response: Response, resources: Resources, token: str) -> None:
    """Let the account know this browser when it logs in again; the cookie gives no access."""
    response.set_cookie(
        resources.browser_cookie_name,
        token,
        max_age=int(REMEMBERED.total_seconds()),
        path="/",
        secure=resources.https,
        httponly=True,
        samesite="lax",
    )


def set_second_step_cookie(response: Response, resources: Resources, token: str, *, max_age: int) -> None:
    """Let the browser come back with a code; the cookie gives no access. An empty one is taken back."""
    response.set_cookie(
        resources.second_step_cookie_name,
        token,
        max_age=max_age,
        path="/",
        secure=resources.https,
        httponly=True,
        samesite="lax",
    )


def clear_login_cookie(response: Response, resources: Resources) -> None:
    """Take the login back from the browser."""
    response.delete_cookie(
        resources.cookie_name, path="/", secure=resources.https, httponly=True, samesite="lax"
    )


def page_address(request: Request) -> str:
    """Return where a page is asked for again; one that answers a form, where the form stood."""
    path = request.url.path
    if request.method in SAFE_METHODS:
        return path + (f"?{request.url.query}" if request.url.query else "")
    if path.startswith("/login"):
        return path
    if path.startswith("/account/"):
        return "/account"
    if administered := ADMINISTERED.match(path):
        return administered[0]
    if path.startswith("/invitation/"):
        return path
    return path.rpartition("/")[0] if path.startswith("/predictions/") else "/"


def local_path(target: str) -> str:
    """Return where to go after the login: a path of this service, or the start if it is anything else."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    elsewhere = parts.scheme or parts.netloc or target.startswith(("//", "/\\")) or not target.startswith("/")
    odd = any(ord(character) < 32 or character == "\\" for character in target)
    return "/" if elsewhere or odd else target
