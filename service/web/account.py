"""The page of one's own account: another password, and the logins that are open."""

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from service.api.access.principal import Principal
from service.api.access.principals import AnyResources
from service.api.actions.own_logins import end_others, end_own, list_own
from service.api.problems.handlers import status_of
from service.api.resources import Resources
from service.audit import record
from service.db.rows import UserRow
from service.errors import ServiceError
from service.identity.accounts import change_password, has_password
from service.identity.errors import CredentialsError, FirstPasswordEndedError, PasswordUnchangedError
from service.identity.logins import Origin, open_login
from service.identity.passwords import (
    PASSWORD_MIN_LENGTH,
    PasswordGuessableError,
    PasswordLengthError,
)
from service.identity.second_factor import recovery_codes_left
from service.identity.throttle import TooManyAttemptsError
from service.web import account_wording
from service.web.access import ByOwnForm, OnOwnPage, origin_of, set_login_cookie
from service.web.language import _
from service.web.proving import attempt_of, check_password, said_of
from service.web.rendering import page

router = APIRouter(prefix="/account", include_in_schema=False)

Text = Annotated[str, Form(max_length=1024)]

# For the audit: a password that was asked for once more.
ON_THE_ACCOUNT_PAGE = {"at": "account"}


@router.get("")
def show_account(
    request: Request, principal: OnOwnPage, resources: AnyResources, *, done: str = ""
) -> HTMLResponse:
    """Show somebody their own account."""
    return account_page(request, principal, resources, done=_(account_wording.ACCOUNT_DONE.get(done, "")))


@router.post("/password")
async def change_own_password(
    request: Request,
    principal: ByOwnForm,
    resources: AnyResources,
    *,
    current: Text,
    new: Text,
    again: Text,
) -> Response:
    """Give oneself another password; every other login ends, and this one gets a new token."""
    if new != again:
        show = partial(account_page, request, principal, resources)
        return await to_thread.run_sync(
            partial(show, status=422, problem=_(account_wording.PASSWORDS_DIFFER))
        )
    attempt = attempt_of(
        request, resources, username=principal.username, typed=current, details=ON_THE_ACCOUNT_PAGE
    )

    def change() -> str:
        check_password(resources, attempt)
        return _change(resources, principal, new, origin_of(request))

    try:
        token = await resources.logins.run(change)
    except (
        CredentialsError,
        FirstPasswordEndedError,
        TooManyAttemptsError,
        PasswordLengthError,
        PasswordGuessableError,
        PasswordUnchangedError,
    ) as refusal:
        return await to_thread.run_sync(refusal_page, request, principal, resources, refusal)
    response = done_with("password")
    set_login_cookie(response, resources, token)
    return response


@router.post("/logins/end-others")
def end_other_logins(principal: ByOwnForm, resources: AnyResources) -> RedirectResponse:
    """End every login of one's own but this one."""
    end_others(resources, principal)
    return done_with("logins")


@router.post("/logins/{login_id}/end")
def end_login(login_id: str, principal: ByOwnForm, resources: AnyResources) -> RedirectResponse:
    """End one of one's own logins."""
    end_own(resources, principal, login_id)
    return done_with("login")


def _change(resources: Resources, principal: Principal, password: str, origin: Origin) -> str:
    with resources.sessions_for(principal).begin() as session:
        user = session.get_one(UserRow, principal.user_id)
        change_password(session, user=user, password=password)
        record(
            session,
            actor=principal.actor,
            action="user.change_password",
            subject_kind="user",
            subject_id=user.id,
        )
        return open_login(session, user=user, lifetime=resources.lifetime, origin=origin)


def account_page(
    request: Request,
    principal: Principal,
    resources: Resources,
    *,
    status: int = 200,
    problem: str = "",
    done: str = "",
) -> HTMLResponse:
    """Draw the page of somebody's own account."""
    with resources.sessions_for(principal).open() as session:
        user = session.get_one(UserRow, principal.user_id)
        codes_left = recovery_codes_left(session, user)
    return page(
        request,
        "account.html",
        principal=principal,
        status=status,
        problem=problem,
        done=done,
        logins=list_own(resources, principal),
        has_password=has_password(user),
        first_password_ends=(
            user.first_password_at + resources.first_password_lifetime if user.first_password_at else None
        ),
        provider=resources.settings.oidc_name,
        least=PASSWORD_MIN_LENGTH,
        second_factor_since=user.totp_since,
        codes_left=codes_left,
    )


def refusal_page(
    request: Request, principal: Principal, resources: Resources, refusal: ServiceError
) -> HTMLResponse:
    """Show the page of the account again, with what was wrong."""
    show = partial(account_page, request, principal, resources, status=status_of(refusal) or 500)
    if isinstance(refusal, TooManyAttemptsError):
        response = show(problem=said_of(refusal))
        response.headers["Retry-After"] = str(refusal.retry_after_s)
        return response
    return show(problem=_(account_wording.ACCOUNT_REFUSALS[refusal.code]))


def done_with(what: str) -> RedirectResponse:
    """Go back to the page of the account, which says what was done."""
    return RedirectResponse(f"/account?done={what}", status_code=303)
