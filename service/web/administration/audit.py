"""The audit of the organisation: searched by what, who, about what and when, and taken away as a file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from service.api.access.principal import Principal
from service.api.access.principals import AnyResources
from service.api.actions.auditing import AuditFilter, list_events, whose
from service.api.actions.verifying import Checked, check_chain
from service.api.payloads import AuditPage
from service.api.resources import Resources
from service.audit.export import Format
from service.db.restricted import OrganisationSession
from service.identity.errors import AccountNotFoundError
from service.identity.permissions import Permission
from service.web.access import allowed_by_form, allowed_on_page
from service.web.administration import audit_wording
from service.web.administration.naming import names_in
from service.web.days import midnight
from service.web.language import _
from service.web.rendering import page

PAGE_LENGTH = 50
ADDRESS = "/audit"
EXPORT = "/api/v1/admin/audit/export"
SUBJECT = re.compile(r"[A-Za-z0-9-]{1,64}")
FILTERS = ("action", "actor", "subject_id", "from", "to")

Reader = Annotated[Principal, Depends(allowed_on_page(Permission.READ_AUDIT))]
ReaderByForm = Annotated[Principal, Depends(allowed_by_form(Permission.READ_AUDIT))]

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class NotUsable(Exception):  # noqa: N818  (a sentence for the page, and no fault)
    """A filter that cannot be asked, and what the page says of it."""

    problem: str


@router.get(ADDRESS)
def show_audit(
    request: Request,
    principal: Reader,
    resources: AnyResources,
    *,
    action: Annotated[str, Query(max_length=64)] = "",
    actor: Annotated[str, Query(max_length=64)] = "",
    subject_id: Annotated[str, Query(max_length=64)] = "",
    first_day: Annotated[str, Query(alias="from", max_length=10)] = "",
    last_day: Annotated[str, Query(alias="to", max_length=10)] = "",
    cursor: Annotated[str | None, Query(max_length=512)] = None,
) -> HTMLResponse:
    """List what was done, newest first."""
    asked = {
        "action": action,
        "actor": actor.strip(),
        "subject_id": subject_id.strip(),
        "from": first_day,
        "to": last_day,
    }
    unknown = sorted(request.query_params.keys() - {*FILTERS, "cursor"})
    return _page(request, principal, resources, asked=asked, cursor=cursor, unknown=unknown)


@router.post(f"{ADDRESS}/verify")
def verify_audit(request: Request, principal: ReaderByForm, resources: AnyResources) -> HTMLResponse:
    """Walk the whole chain, and say whether it is what was recorded."""
    checked = check_chain(resources, principal)
    asked = dict.fromkeys(FILTERS, "")
    return _page(request, principal, resources, asked=asked, checked=checked)


@router.get(f"{ADDRESS}/verify")
def lead_to_the_audit(_principal: Reader) -> RedirectResponse:
    """Lead whoever reloads the page that answered the form to the page where the form stands."""
    return RedirectResponse(ADDRESS, status_code=303)


def _page(
    request: Request,
    principal: Principal,
    resources: Resources,
    *,
    asked: dict[str, str],
    cursor: str | None = None,
    unknown: Sequence[str] = (),
    checked: Checked | None = None,
) -> HTMLResponse:
    listed, names, problem, exports = AuditPage(items=[], next_cursor=None), {}, "", {}
    with resources.sessions_for(principal).open() as session:
        try:
            _require_known(unknown)
            chosen = _filter(session, asked)
        except NotUsable as refused:
            problem = refused.problem
        else:
            listed = list_events(
                session, principal, chosen, cursor=cursor, limit=PAGE_LENGTH, reads=resources.reads
            )
            names = names_in(session, listed.items)
            exports = {kind.value: _export(chosen, asked["actor"], kind) for kind in Format}
    kept = {name: value for name, value in asked.items() if value}
    following = kept | {"cursor": listed.next_cursor} if listed.next_cursor else {}
    return page(
        request,
        "administration/audit.html",
        principal=principal,
        page=listed,
        names=names,
        asked=asked,
        filtered=bool(kept),
        problem=problem,
        checked=checked,
        exports=exports,
        words=audit_wording,
        first=_address(kept) if cursor else "",
        following=_address(following) if following else "",
    )


def _require_known(unknown: Sequence[str]) -> None:
    # Whoever wrote the address by hand would take all events for those that were asked for.
    if unknown:
        said = _("%(names)s could not be read: this page knows action, actor, subject_id, from, to.")
        raise NotUsable(said % {"names": ", ".join(name[:64] for name in unknown)})


def _filter(session: OrganisationSession, asked: dict[str, str]) -> AuditFilter:
    if asked["action"] and asked["action"] not in audit_wording.ACTIONS:
        raise NotUsable(_("There is no such action. Choose one of the list."))
    if asked["subject_id"] and not SUBJECT.fullmatch(asked["subject_id"]):
        raise NotUsable(_("What it was about is an identifier: letters, digits and hyphens."))
    try:
        since, until = midnight(asked["from"]), midnight(asked["to"], days_later=1)
    except (ValueError, OverflowError) as error:
        raise NotUsable(_("A day is written as 2026-11-28.")) from error
    return AuditFilter(
        action=asked["action"] or None,
        subject_id=asked["subject_id"] or None,
        since=since,
        until=until,
        **_whose(session, asked["actor"]),
    )


def _whose(session: OrganisationSession, typed: str) -> dict[str, str]:
    try:
        return whose(session, typed)
    except AccountNotFoundError as error:
        raise NotUsable(_("No account of your organisation has this name.")) from error


def _export(chosen: AuditFilter, typed_actor: str, kind: Format) -> str:
    query = {"format": kind.value} | chosen.told()
    if query.pop("account", None):
        query["actor"] = typed_actor
    if chosen.subject_id is not None:
        query["subject_id"] = chosen.subject_id
    return f"{EXPORT}?{urlencode(query)}"


def _address(query: dict[str, str]) -> str:
    return ADDRESS + (f"?{urlencode(query)}" if query else "")
