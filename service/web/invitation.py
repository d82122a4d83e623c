"""The page behind an invitation: whoever was given the link chooses a password, and is logged in."""

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from service.api.access.own_page import require_own_page
from service.api.access.principals import AnyResources, client_address
from service.api.problems.handlers import status_of
from service.api.resources import Resources
from service.audit import record
from service.identity.actor import Actor, anonymous
from service.identity.invitations import (
    InvitationNotValidError,
    accept_invitation,
    require_open_invitation,
)
from service.identity.logins import Origin, close_login
from service.identity.passwords import (
    PASSWORD_MIN_LENGTH,
    PasswordGuessableError,
    PasswordLengthError,
)
from service.identity.throttle import TooManyAttemptsError
from service.web import account_wording
from service.web.access import origin_of
from service.web.language import _
from service.web.login import Opened, arrived, open_for
from service.web.proving import said_of
from service.web.rendering import page

router = APIRouter(prefix="/invitation", include_in_schema=False)

Text = Annotated[str, Form(max_length=1024)]


@router.get("/{token}")
def show_invitation(request: Request, token: str, resources: AnyResources) -> HTMLResponse:
    """Ask for a password, while the invitation is open; opening its link alone uses nothing up."""
    return _page(request, resources, token)


@router.post("/{token}")
async def accept(
    request: Request, token: str, resources: AnyResources, *, new: Text = "", again: Text = ""
) -> Response:
    """Make the account with the password that was chosen, and log its owner in."""
    require_own_page(request)
    show = partial(_page, request, resources, token)
    if new != again:
        return await to_thread.run_sync(
            partial(show, status=422, problem=_(account_wording.PASSWORDS_DIFFER))
        )
    making = partial(
        _accept,
        resources,
        token,
        new,
        browser=request.cookies.get(resources.browser_cookie_name),
        stale=request.cookies.get(resources.cookie_name),
        origin=origin_of(request),
    )
    try:
        # As a login: a hash is made at the end of a short line.
        opened = await resources.logins.run(making)
    except InvitationNotValidError as refusal:
        # Whatever the invitation itself says: of one whose name is somebody's by now, that it is open.
        return await to_thread.run_sync(partial(_refuse, request, resources, refusal))
    except TooManyAttemptsError as refusal:
        response = await to_thread.run_sync(partial(show, status=429, problem=said_of(refusal)))
        response.headers["Retry-After"] = str(refusal.retry_after_s)
        return response
    except (PasswordLengthError, PasswordGuessableError) as refusal:
        problem = _(account_wording.ACCOUNT_REFUSALS[refusal.code])
        return await to_thread.run_sync(partial(show, status=status_of(refusal) or 500, problem=problem))
    return arrived(resources, opened, "/")


def _accept(
    resources: Resources, token: str, password: str, *, browser: str | None, stale: str | None, origin: Origin
) -> Opened:
    with resources.unrestricted_sessions.begin() as session:
        invitation = require_open_invitation(session, token)
        user = accept_invitation(session, invitation, password=password)
        actor = Actor(f"user:{user.id}", origin.address or "")
        record(
            session,
            actor=actor,
            action="invitation.accept",
            subject_kind="invitation",
            subject_id=invitation.id,
            details={"user_id": user.id},
            organisation_id=user.organisation_id,
        )
        record(
            session,
            actor=actor,
            action="user.create",
            subject_kind="user",
            subject_id=user.id,
            details={"role": user.role},
            organisation_id=user.organisation_id,
        )
        if stale:
            close_login(session, stale)
        return open_for(session, resources, user, browser=browser, origin=origin)


def _page(
    request: Request, resources: Resources, token: str, *, status: int = 200, problem: str = ""
) -> HTMLResponse:
    try:
        with resources.unrestricted_sessions() as session:
            invitation = require_open_invitation(session, token)
    except InvitationNotValidError as refusal:
        return _refuse(request, resources, refusal)
    return page(
        request,
        "invitation.html",
        principal=None,
        status=status,
        invitation=invitation,
        problem=problem,
        least=PASSWORD_MIN_LENGTH,
    )


def _refuse(request: Request, resources: Resources, refusal: InvitationNotValidError) -> HTMLResponse:
    with resources.unrestricted_sessions() as session:
        resources.reads.note(
            session,
            anonymous(client_address(request)),
            action="invitation.refused",
            subject_kind="invitation",
            subject_id="unknown",
        )
    request.scope["code"] = refusal.code
    return page(
        request,
        "invitation.html",
        principal=None,
        status=status_of(refusal) or 500,
        invitation=None,
        code=refusal.code,
    )
