"""One account of the organisation, and what an administrator may do to it."""

from collections.abc import Callable
from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from service.api.access.principals import AnyResources
from service.api.actions.accounts import (
    account_response,
    change_account,
    end_logins_of,
    find_account,
    reset_second_factor_of,
)
from service.api.actions.keys import keys_of
from service.identity.errors import LastAdministratorError, OwnAccountError
from service.identity.logins import logins_of
from service.identity.roles import RoleError, parse_role
from service.web.administration.users import Manager, ManagerByForm, Text
from service.web.administration.wording import DONE, REFUSALS
from service.web.language import _
from service.web.rendering import page

router = APIRouter(prefix="/users/{user_id}", include_in_schema=False)


@router.get("")
def show_user(
    request: Request,
    user_id: str,
    principal: Manager,
    resources: AnyResources,
    *,
    done: str = "",
    refused: str = "",
) -> HTMLResponse:
    """Show an account with its keys."""
    with resources.sessions_for(principal).open() as session:
        user = find_account(session, user_id)
        resources.reads.note(
            session, principal.actor, action="user.read", subject_kind="user", subject_id=user.id
        )
        keys = keys_of(session, user)
        logins = logins_of(session, user_id=user.id, idle=resources.idle)
    return page(
        request,
        "administration/user.html",
        principal=principal,
        user=account_response(user),
        keys=keys,
        logins=logins,
        own=user.id == principal.user_id,
        problem=_(REFUSALS.get(refused, "")),
        done=_(DONE.get(done, "")),
    )


@router.post("/role")
def give_role(
    user_id: str, principal: ManagerByForm, resources: AnyResources, *, role: Text = ""
) -> RedirectResponse:
    """Give the account another role."""
    with resources.sessions_for(principal).open() as session:
        find_account(session, user_id)

    def change() -> None:
        change_account(resources, principal, user_id, role=parse_role(role))

    return _changed(user_id, change, done="role")


@router.post("/disable")
def disable(user_id: str, principal: ManagerByForm, resources: AnyResources) -> RedirectResponse:
    """Shut the account out."""
    change = partial(change_account, resources, principal, user_id, disabled=True)
    return _changed(user_id, change, done="disabled")


@router.post("/enable")
def enable(user_id: str, principal: ManagerByForm, resources: AnyResources) -> RedirectResponse:
    """Let the account in again."""
    change = partial(change_account, resources, principal, user_id, disabled=False)
    return _changed(user_id, change, done="enabled")


@router.post("/end-logins")
def end_logins(user_id: str, principal: ManagerByForm, resources: AnyResources) -> RedirectResponse:
    """End every login of the account."""
    end_logins_of(resources, principal, user_id)
    return _back(user_id, "logins")


@router.post("/reset-second-factor")
def reset_second_factor(user_id: str, principal: ManagerByForm, resources: AnyResources) -> RedirectResponse:
    """Let the password alone open the account."""
    change = partial(reset_second_factor_of, resources, principal, user_id)
    return _changed(user_id, change, done="second-factor")


def _changed(user_id: str, change: Callable[[], object], *, done: str) -> RedirectResponse:
    try:
        change()
    except (OwnAccountError, LastAdministratorError, RoleError) as refusal:
        # Back as after any other change: htmx, which asked the question, would show no other answer.
        return RedirectResponse(f"/users/{user_id}?refused={refusal.code}", status_code=303)
    return _back(user_id, done)


def _back(user_id: str, done: str) -> RedirectResponse:
    return RedirectResponse(f"/users/{user_id}?done={done}", status_code=303)
