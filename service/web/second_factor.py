"""Setting up an authenticator on the page of one's own account, and removing it."""

from typing import Annotated, Any

import segno
from anyio import to_thread
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from service.api.access.principal import Principal
from service.api.access.principals import AnyResources
from service.api.resources import Resources
from service.audit import record
from service.db.rows import UserRow
from service.identity.errors import CredentialsError, FirstPasswordEndedError
from service.identity.logins import end_logins
from service.identity.second_factor import (
    CodeNotValidError,
    SecondFactorSetError,
    address_of_secret,
    begin_enrolment,
    confirm_enrolment,
    remove_second_factor,
)
from service.identity.throttle import TooManyAttemptsError
from service.web import account_wording
from service.web.access import ByOwnForm
from service.web.account import ON_THE_ACCOUNT_PAGE, done_with, refusal_page
from service.web.language import _
from service.web.proving import Attempt, attempt_of, check_code, check_password
from service.web.rendering import page

router = APIRouter(prefix="/account/second-factor", include_in_schema=False)

Text = Annotated[str, Form(max_length=1024)]

REFUSALS = (
    CodeNotValidError,
    CredentialsError,
    FirstPasswordEndedError,
    SecondFactorSetError,
    TooManyAttemptsError,
)


@router.post("")
async def begin(request: Request, principal: ByOwnForm, resources: AnyResources, password: Text) -> Response:
    """Make a secret and show it this once, as a picture and as text."""
    attempt = _attempt(request, principal, resources, password)

    def make() -> str:
        check_password(resources, attempt)
        with resources.sessions_for(principal).begin() as session:
            return begin_enrolment(session.get_one(UserRow, principal.user_id), seal=resources.seal)

    try:
        secret = await resources.logins.run(make)
    except REFUSALS as refusal:
        return await to_thread.run_sync(refusal_page, request, principal, resources, refusal)
    address = address_of_secret(principal.username, secret)
    picture = segno.make(address, error="m").svg_inline(scale=5, border=4, light="#fff", svgclass="qr")
    return _page(request, principal, secret=secret, address=address, picture=picture)


@router.post("/confirm")
def confirm(request: Request, principal: ByOwnForm, resources: AnyResources, code: Text) -> HTMLResponse:
    """Make the secret count from now on, and show the recovery codes this once; other logins end."""
    try:
        with resources.sessions_for(principal).begin() as session:
            user = session.get_one(UserRow, principal.user_id)
            codes = confirm_enrolment(session, user, code=code, seal=resources.seal)
            end_logins(session, user_id=user.id, except_id=principal.login_id)
            record(
                session,
                actor=principal.actor,
                action="second_factor.set",
                subject_kind="user",
                subject_id=user.id,
            )
    except CodeNotValidError:
        return _page(request, principal, status=401, problem=_(account_wording.CODE_REFUSED))
    except SecondFactorSetError as refusal:
        return refusal_page(request, principal, resources, refusal)
    return _page(request, principal, codes=codes)


@router.post("/remove")
async def remove(
    request: Request, principal: ByOwnForm, resources: AnyResources, *, password: Text, code: Text
) -> Response:
    """Let the password alone open the account again: for whoever has both."""
    attempt = _attempt(request, principal, resources, password)
    with_code = _attempt(request, principal, resources, code)

    def take_away() -> None:
        user = check_password(resources, attempt)
        check_code(resources, with_code, user.id)
        _remove(resources, principal)

    try:
        await resources.logins.run(take_away)
    except REFUSALS as refusal:
        return await to_thread.run_sync(refusal_page, request, principal, resources, refusal)
    return done_with("second-factor-removed")


def _attempt(request: Request, principal: Principal, resources: Resources, typed: str) -> Attempt:
    return attempt_of(
        request, resources, username=principal.username, typed=typed, details=ON_THE_ACCOUNT_PAGE
    )


def _remove(resources: Resources, principal: Principal) -> None:
    with resources.sessions_for(principal).begin() as session:
        user = session.get_one(UserRow, principal.user_id)
        remove_second_factor(session, user)
        end_logins(session, user_id=user.id, except_id=principal.login_id)
        record(
            session,
            actor=principal.actor,
            action="second_factor.remove",
            subject_kind="user",
            subject_id=user.id,
        )


def _page(request: Request, principal: Principal, *, status: int = 200, **shown: Any) -> HTMLResponse:
    values = {"problem": "", "secret": "", "address": "", "picture": "", "codes": []} | shown
    return page(request, "second_factor.html", principal=principal, status=status, **values)
