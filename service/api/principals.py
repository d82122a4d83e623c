"""Who sends a request, and what their role lets them do."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from service.api.key_scopes import require_scope
from service.api.refusals import (
    ApiKeyNotValidError,
    AuthenticationRequiredError,
    CrossSiteRequestError,
    PermissionDeniedError,
)
from service.api.resources import Resources, resources_of
from service.identity.accounts import Role
from service.identity.api_keys import find_api_key, note_api_key_use
from service.identity.logins import find_login, note_login_use
from service.identity.scopes import EVERY_SCOPE, Scope, read_scopes

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "X-CSRF-Token"
SEES_ALL_SCANS = frozenset({Role.CLINICIAN, Role.ADMINISTRATOR})

# For the OpenAPI document only; the request is read below.
_BEARER = HTTPBearer(scheme_name="ApiKey", description="`Authorization: Bearer rnk_...`", auto_error=False)
_COOKIE = APIKeyCookie(
    name="restnet",
    scheme_name="Login",
    description="The pages' login; changing requests also need `X-CSRF-Token`.",
    auto_error=False,
)


@dataclass(frozen=True)
class Principal:
    """The account behind a request.

    Attributes
    ----------
    actor : str
        For the audit: ``user:<id>`` or ``key:<id>``.
    csrf_token : str or None
        Of the login; None with an API key, which no browser sends by itself.
    scopes : frozenset of Scope
        What the API key is for; a login has all of them. The role's own limits hold beside them.
    """

    user_id: str
    username: str
    role: Role
    actor: str
    csrf_token: str | None = None
    scopes: frozenset[Scope] = EVERY_SCOPE

    @property
    def sees_all_scans(self) -> bool:
        """Whether other accounts' scans are visible; programs and researchers see their own."""
        return self.role in SEES_ALL_SCANS


def identify(request: Request, *, counts_as_use: bool = True) -> Principal | None:
    """Find the account behind a request, by API key or login; None when neither was sent or the login ended.

    Parameters
    ----------
    request : Request
    counts_as_use : bool
        Whether it keeps a login from idling; a stream that looks again by itself must not.

    Raises
    ------
    ApiKeyNotValidError
        If an Authorization header was sent that does not hold a valid key.
    """
    resources = resources_of(request)
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise ApiKeyNotValidError
        return _by_key(resources, key.strip(), counts_as_use=counts_as_use)
    token = request.cookies.get(resources.cookie_name)
    return _by_login(resources, token, counts_as_use=counts_as_use) if token else None


def _by_key(resources: Resources, key: str, *, counts_as_use: bool) -> Principal:
    with resources.sessions() as session:
        found = find_api_key(session, key)
        if found is None:
            raise ApiKeyNotValidError
        row, user = found
        if counts_as_use and note_api_key_use(row):
            session.commit()
        return Principal(
            user.id, user.username, Role(user.role), f"key:{row.id}", scopes=read_scopes(row.scopes)
        )


def _by_login(resources: Resources, token: str, *, counts_as_use: bool) -> Principal | None:
    with resources.sessions() as session:
        found = find_login(session, token, idle=resources.idle)
        if found is None:
            return None
        row, user = found
        if counts_as_use and note_login_use(row):
            session.commit()
        return Principal(user.id, user.username, Role(user.role), f"user:{user.id}", row.csrf_token)


def signed_in(
    request: Request,
    _bearer: Annotated[object, Security(_BEARER)] = None,
    _cookie: Annotated[object, Security(_COOKIE)] = None,
) -> Principal:
    """Require an account; a changing request under a login must also prove that our page sent it.

    Raises
    ------
    AuthenticationRequiredError, ApiKeyNotValidError
        If there is no account behind the request.
    CrossSiteRequestError
        If a changing request under a login comes from elsewhere or lacks the login's token.
    ScopeMissingError
        If the API key is not for this.
    """
    principal = identify(request)
    if principal is None:
        raise AuthenticationRequiredError
    require_scope(request, role=principal.role, held=principal.scopes)
    if principal.csrf_token is not None and request.method not in SAFE_METHODS:
        require_own_page(request)
        require_csrf_token(principal, request.headers.get(CSRF_HEADER))
    return principal


def require_role(*roles: Role) -> Callable[[Principal], Principal]:
    """Make a dependency that lets only some roles through."""

    def check(principal: Annotated[Principal, Depends(signed_in)]) -> Principal:
        if principal.role not in roles:
            raise PermissionDeniedError(
                role=principal.role.value, allowed=tuple(role.value for role in roles)
            )
        return principal

    return check


def require_csrf_token(principal: Principal, token: str | None) -> None:
    """Compare a request's token with its login's.

    Raises
    ------
    CrossSiteRequestError
        If they differ.
    """
    expected = principal.csrf_token
    if expected is None or token is None or not secrets.compare_digest(expected.encode(), token.encode()):
        raise CrossSiteRequestError


def require_own_page(request: Request) -> None:
    """Refuse what a browser sends for another site (Fetch Metadata first, Origin for older browsers).

    Raises
    ------
    CrossSiteRequestError
        If the browser says that another site caused the request. A client that says nothing is no browser.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in {"same-origin", "none"}:
            raise CrossSiteRequestError
        return
    origin = request.headers.get("origin")
    if origin is None:
        return
    public_url = resources_of(request).settings.public_url
    hosts = {request.headers.get("host"), urlsplit(public_url).netloc if public_url else None} - {None}
    if _host_of(origin) not in hosts:
        raise CrossSiteRequestError


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


SignedIn = Annotated[Principal, Depends(signed_in)]
Administrator = Annotated[Principal, Depends(require_role(Role.ADMINISTRATOR))]
ModelReader = Annotated[Principal, Depends(require_role(Role.ADMINISTRATOR, Role.RESEARCHER))]
AnyResources = Annotated[Resources, Depends(resources_of)]
