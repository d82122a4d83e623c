"""The accounts of the organisation, and who is invited."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from service.api.access.principal import Principal
from service.api.access.principals import AnyResources
from service.api.actions.accounts import list_accounts
from service.api.actions.inviting import invite_somebody, open_invitations, withdraw_invitation
from service.api.problems.handlers import status_of
from service.api.resources import Resources
from service.identity.errors import UsernameError, UsernameTakenError
from service.identity.permissions import Permission
from service.identity.roles import Role, RoleError, parse_role
from service.web.access import allowed_by_form, allowed_on_page
from service.web.administration.wording import DONE, said
from service.web.language import _
from service.web.rendering import page

PAGE_LENGTH = 50
# The open invitations that the page shows: they end after days, so there are few.
INVITATIONS_SHOWN = 100

Manager = Annotated[Principal, Depends(allowed_on_page(Permission.MANAGE_USERS))]
ManagerByForm = Annotated[Principal, Depends(allowed_by_form(Permission.MANAGE_USERS))]
Text = Annotated[str, Form(max_length=1024)]

router = APIRouter(prefix="/users", include_in_schema=False)


@router.get("")
def show_users(
    request: Request,
    principal: Manager,
    resources: AnyResources,
    *,
    cursor: Annotated[str | None, Query(max_length=512)] = None,
    done: str = "",
) -> HTMLResponse:
    """List the accounts, newest first, with a form to invite somebody."""
    return _page(request, principal, resources, cursor=cursor, done=_(DONE.get(done, "")))


@router.post("/invitations")
def invite(
    request: Request,
    principal: ManagerByForm,
    resources: AnyResources,
    *,
    username: Text = "",
    role: Text = "",
) -> HTMLResponse:
    """Invite somebody, and show the link this once."""
    asked = {"username": username, "role": role}
    try:
        made, path = invite_somebody(resources, principal, username=username, role=parse_role(role))
    except (UsernameError, UsernameTakenError, RoleError) as refusal:
        status = status_of(refusal) or 500
        return _page(request, principal, resources, status=status, problem=said(refusal), asked=asked)
    link = resources.address_of(request, path)
    return _page(request, principal, resources, link=link, invited=made.username)


@router.get("/invitations")
def lead_to_the_users(_principal: Manager) -> RedirectResponse:
    """Lead whoever reloads the page that answered the form to the page where the form stands."""
    return RedirectResponse("/users", status_code=303)


@router.post("/invitations/{invitation_id}/revoke")
def withdraw(invitation_id: str, principal: ManagerByForm, resources: AnyResources) -> RedirectResponse:
    """Close a link."""
    withdraw_invitation(resources, principal, invitation_id)
    return RedirectResponse("/users?done=withdrawn", status_code=303)


def _page(
    request: Request,
    principal: Principal,
    resources: Resources,
    *,
    status: int = 200,
    cursor: str | None = None,
    problem: str = "",
    done: str = "",
    link: str = "",
    invited: str = "",
    asked: dict[str, str] | None = None,
) -> HTMLResponse:
    with resources.sessions_for(principal).open() as session:
        invitations = open_invitations(session, limit=INVITATIONS_SHOWN)
        listed = list_accounts(
            session,
            principal,
            cursor=cursor,
            limit=PAGE_LENGTH,
            reads=resources.reads,
            beside=[invitation.id for invitation in invitations],
        )
    following = f"/users?{urlencode({'cursor': listed.next_cursor})}" if listed.next_cursor else ""
    return page(
        request,
        "administration/users.html",
        principal=principal,
        status=status,
        page=listed,
        invitations=invitations,
        problem=problem,
        done=done,
        link=link,
        invited=invited,
        asked=asked or {"username": "", "role": Role.CLINICIAN.value},
        first="/users" if cursor else "",
        following=following,
    )
