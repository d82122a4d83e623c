"""Who sends a request, and what their role lets them do."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from service.api.access.own_page import CSRF_HEADER, SAFE_METHODS, require_csrf_token, require_own_page
from service.api.access.principal import Principal, require, require_settled
from service.api.problems.refusals import (
    ApiKeyNotValidError,
    AuthenticationRequiredError,
    LoginRequiredError,
)
from service.api.resources import Resources, resources_of
from service.db.rows import UserRow
from service.identity.actor import Actor, anonymous
from service.identity.api_keys import find_api_key, note_api_key_use
from service.identity.logins import find_login, note_login_use
from service.identity.permissions import Permission
from service.identity.roles import Role
from service.identity.scopes import read_scopes
from service.identity.second_factor import has_second_factor

# For the OpenAPI document only; the request is read below.
_BEARER = HTTPBearer(scheme_name="ApiKey", description="`Authorization: Bearer rnk_...`", auto_error=False)
_COOKIE = APIKeyCookie(
    name="restnet",
    scheme_name="Login",
    description="The pages' login; changing requests also need `X-CSRF-Token`.",
    auto_error=False,
)


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
    resources, address = resources_of(request), client_address(request)
    authorization = request.headers.get("authorization")
    token = request.cookies.get(resources.cookie_name)
    principal = None
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise ApiKeyNotValidError
        principal = _by_key(resources, key.strip(), address=address, counts_as_use=counts_as_use)
    elif token:
        principal = _by_login(resources, token, address=address, counts_as_use=counts_as_use)
    if principal is not None:
        # For the request's line in the log.
        request.scope["actor"] = principal.actor.name
    return principal


def client_address(request: Request) -> str:
    """Return the address of the connection, or what a proxy that the settings trust says it is.

    What anybody else writes into a header is not believed: the server sees to it before the application.
    """
    return request.client.host if request.client else ""


def _by_key(resources: Resources, key: str, *, address: str, counts_as_use: bool) -> Principal:
    with resources.unrestricted_sessions() as session:
        found = find_api_key(session, key)
        if found is None:
            resources.reads.note(
                session,
                anonymous(address),
                action="api_key.refused",
                subject_kind="api_key",
                subject_id="unknown",
            )
            raise ApiKeyNotValidError
        row, user = found
        if counts_as_use and note_api_key_use(row):
            session.commit()
        return replace(
            _principal(user, actor=Actor(f"key:{row.id}", address)), scopes=read_scopes(row.scopes)
        )


def _by_login(resources: Resources, token: str, *, address: str, counts_as_use: bool) -> Principal | None:
    with resources.unrestricted_sessions() as session:
        found = find_login(session, token, idle=resources.idle)
        if found is None:
            return None
        row, user = found
        if counts_as_use and note_login_use(row):
            session.commit()
        return replace(
            _principal(user, actor=Actor(f"user:{user.id}", address)),
            csrf_token=row.csrf_token,
            login_id=row.id,
            must_change_password=user.first_password_at is not None and not row.through_provider,
            must_set_second_factor=(
                resources.settings.require_second_factor
                and not row.through_provider
                and not has_second_factor(user)
            ),
        )


def _principal(user: UserRow, *, actor: Actor) -> Principal:
    return Principal(
        user_id=user.id,
        organisation_id=user.organisation_id,
        username=user.username,
        role=Role(user.role),
        actor=actor,
    )


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
    PasswordChangeRequiredError, SecondFactorRequiredError
        If its owner has to see to that first.
    CrossSiteRequestError
        If a changing request under a login comes from elsewhere or lacks the login's token.
    """
    principal = identify(request)
    if principal is None:
        raise AuthenticationRequiredError
    require_settled(principal)
    if principal.csrf_token is not None and request.method not in SAFE_METHODS:
        require_own_page(request)
        require_csrf_token(principal, request.headers.get(CSRF_HEADER))
    return principal


def by_login(principal: Annotated[Principal, Depends(signed_in)]) -> Principal:
    """Let only people through: what is about their own account is not for programs that act for them.

    Raises
    ------
    LoginRequiredError
        If an API key came instead of a login.
    """
    if principal.login_id is None:
        raise LoginRequiredError
    return principal


def allowed(permission: Permission) -> Callable[[Principal], Principal]:
    """Make a dependency that lets only accounts and keys through that have a permission."""

    def check(principal: Annotated[Principal, Depends(signed_in)]) -> Principal:
        require(principal, permission)
        return principal

    return check


ScanUploader = Annotated[Principal, Depends(allowed(Permission.UPLOAD_SCANS))]
ScanReader = Annotated[Principal, Depends(allowed(Permission.READ_SCANS))]
PredictionReader = Annotated[Principal, Depends(allowed(Permission.READ_PREDICTIONS))]
ScanDeleter = Annotated[Principal, Depends(allowed(Permission.DELETE_SCANS))]
PredictionChanger = Annotated[Principal, Depends(allowed(Permission.CHANGE_PREDICTIONS))]
PredictionReviewer = Annotated[Principal, Depends(allowed(Permission.REVIEW_PREDICTIONS))]
ModelReader = Annotated[Principal, Depends(allowed(Permission.READ_MODELS))]
ModelManager = Annotated[Principal, Depends(allowed(Permission.MANAGE_MODELS))]
UserManager = Annotated[Principal, Depends(allowed(Permission.MANAGE_USERS))]
KeyManager = Annotated[Principal, Depends(allowed(Permission.MANAGE_KEYS))]
Trainer = Annotated[Principal, Depends(allowed(Permission.TRAIN_MODELS))]
AuditReader = Annotated[Principal, Depends(allowed(Permission.READ_AUDIT))]
ReviewCounter = Annotated[Principal, Depends(allowed(Permission.COUNT_REVIEWS))]
Person = Annotated[Principal, Depends(by_login)]
AnyResources = Annotated[Resources, Depends(resources_of)]
