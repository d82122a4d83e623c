"""The API keys of the organisation: what programs act with."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from service.api.access.principal import Principal
from service.api.access.principals import AnyResources
from service.api.actions.keys import issue_key, list_keys, revoke_key
from service.api.problems.handlers import status_of
from service.api.resources import Resources
from service.identity.api_keys import AccountDisabledError, ApiKeyNameError
from service.identity.errors import AccountNotFoundError
from service.identity.permissions import Permission
from service.identity.scopes import Scope, ScopeError, ScopeNotAllowedError, parse_scope
from service.web.access import allowed_by_form, allowed_on_page
from service.web.administration.wording import DONE, SCOPES, said
from service.web.language import _, marked
from service.web.rendering import page

PAGE_LENGTH = 50
# How long a key may be valid, as the form offers it.
LIFETIMES: dict[str, str] = {
    "30": marked("30 days"),
    "90": marked("90 days"),
    "365": marked("a year"),
    "never": marked("until it is revoked"),
}
A_YEAR = "365"
OF_AN_ACCOUNT = re.compile(r"/users/[0-9a-f-]{36}")

Manager = Annotated[Principal, Depends(allowed_on_page(Permission.MANAGE_KEYS))]
ManagerByForm = Annotated[Principal, Depends(allowed_by_form(Permission.MANAGE_KEYS))]
Text = Annotated[str, Form(max_length=1024)]

router = APIRouter(prefix="/keys", include_in_schema=False)


@router.get("")
def show_keys(
    request: Request,
    principal: Manager,
    resources: AnyResources,
    *,
    cursor: Annotated[str | None, Query(max_length=512)] = None,
    account: Annotated[str, Query(max_length=64)] = "",
    done: str = "",
) -> HTMLResponse:
    """List the keys, newest first, with a form for another; ``account`` fills in whose it would be."""
    asked = _asked(username=account or principal.username)
    return _page(request, principal, resources, cursor=cursor, done=_(DONE.get(done, "")), asked=asked)


@router.post("")
def issue(
    request: Request,
    principal: ManagerByForm,
    resources: AnyResources,
    *,
    name: Text = "",
    username: Text = "",
    scope: Annotated[list[str], Form()] = [],  # noqa: B006  (FastAPI copies it)
    days: Text = A_YEAR,
) -> HTMLResponse:
    """Issue a key, and show it this once."""
    asked = _asked(name=name, username=username, scopes=scope, days=days)
    lifetime: int | Literal["never"] = int(days) if days in LIFETIMES and days.isdigit() else "never"
    try:
        made = issue_key(
            resources,
            principal,
            name=name.strip(),
            username=username or None,
            scopes=[parse_scope(one) for one in scope],
            days=lifetime if days in LIFETIMES else None,
        )
    except (
        AccountDisabledError,
        AccountNotFoundError,
        ApiKeyNameError,
        ScopeError,
        ScopeNotAllowedError,
    ) as refusal:
        problem = said(refusal) if scope else _("Choose what the key may do.")
        status = status_of(refusal) or 500
        return _page(request, principal, resources, status=status, problem=problem, asked=asked)
    return _page(request, principal, resources, key=made.key, asked=_asked(username=principal.username))


@router.post("/{key_id}/revoke")
def revoke(
    key_id: str, principal: ManagerByForm, resources: AnyResources, *, back: Text = ""
) -> RedirectResponse:
    """Revoke a key, and go back to the list or to the account that it is of."""
    revoke_key(resources, principal, key_id)
    # Nothing but an account's page, or the form would lead anywhere.
    target = back if OF_AN_ACCOUNT.fullmatch(back) else "/keys"
    return RedirectResponse(f"{target}?done=revoked", status_code=303)


def _asked(
    *, name: str = "", username: str = "", scopes: Sequence[str] = (), days: str = A_YEAR
) -> dict[str, Any]:
    return {"name": name, "username": username, "scopes": scopes, "days": days}


def _page(
    request: Request,
    principal: Principal,
    resources: Resources,
    *,
    asked: dict[str, Any],
    status: int = 200,
    cursor: str | None = None,
    problem: str = "",
    done: str = "",
    key: str = "",
) -> HTMLResponse:
    with resources.sessions_for(principal).open() as session:
        listed = list_keys(session, principal, cursor=cursor, limit=PAGE_LENGTH, reads=resources.reads)
    return page(
        request,
        "administration/keys.html",
        principal=principal,
        status=status,
        page=listed,
        problem=problem,
        done=done,
        key=key,
        asked=asked,
        scopes=[(scope.value, SCOPES[scope.value]) for scope in Scope],
        lifetimes=LIFETIMES,
        first="/keys" if cursor else "",
        following=f"/keys?{urlencode({'cursor': listed.next_cursor})}" if listed.next_cursor else "",
    )
