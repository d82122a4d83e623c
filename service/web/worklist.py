"""The list of predictions: filtered, in an order, and all of that in its address."""

import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from service.api.access.principal import Principal
from service.api.access.principals import AnyResources
from service.api.actions.sorting import Sort
from service.api.actions.viewing import PredictionFilter, list_predictions
from service.api.patterns import PSEUDONYM
from service.api.payloads import PredictionPage
from service.api.problems.refusals import FieldsNotValidError
from service.db.rows import PredictionState
from service.identity.permissions import Permission
from service.web import wording
from service.web.access import allowed_on_page
from service.web.days import midnight
from service.web.language import _
from service.web.prediction.page import active_card
from service.web.rendering import page

PAGE_LENGTH = 25
ADDRESS = "/predictions"
# What a column's heading begins with; then it turns the order round.
FIRST = {
    "created_at": Sort.NEWEST,
    "subject_id": Sort.SUBJECT,
    "adhd_probability": Sort.MOST_PROBABLE,
}

Reader = Annotated[Principal, Depends(allowed_on_page(Permission.READ_PREDICTIONS))]

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Heading:
    """A column's heading, which is the way to its order.

    Attributes
    ----------
    address : str
    aria_sort : str
        How the column is sorted now; empty where the list goes by another.
    """

    address: str
    aria_sort: str


@router.get("/predictions")
def show_predictions(
    request: Request,
    principal: Reader,
    resources: AnyResources,
    *,
    status: Annotated[str, Query(max_length=16)] = "",
    subject_id: Annotated[str, Query(max_length=64)] = "",
    first_day: Annotated[str, Query(alias="from", max_length=10)] = "",
    last_day: Annotated[str, Query(alias="to", max_length=10)] = "",
    sort: Annotated[str, Query(max_length=32)] = "",
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> HTMLResponse:
    """List earlier predictions, newest first unless another order is asked for."""
    listed = PredictionPage(items=[], next_cursor=None)
    problem, asked_for, order = "", Sort.NEWEST, Sort.NEWEST
    filters = {"status": status, "subject_id": subject_id.strip(), "from": first_day, "to": last_day}
    with resources.sessions_for(principal).open() as session:
        card = active_card(session)
    try:
        chosen = _filter(filters)
        asked_for = order = _order(sort)
        if chosen.subject_prefix and order.by != Sort.SUBJECT.by:
            order = Sort.SUBJECT
        with resources.sessions_for(principal).open() as session:
            listed = list_predictions(
                session,
                principal,
                chosen,
                sort=order,
                cursor=cursor,
                limit=PAGE_LENGTH,
                reads=resources.reads,
            )
    except FieldsNotValidError:
        problem = _(
            "These filters cannot be used. A pseudonym has letters, digits and . _ - only, "
            "and a day is written as 2026-11-28."
        )
    kept = {name: value for name, value in filters.items() if value}
    filtered = bool(kept)
    if asked_for != Sort.NEWEST:
        kept["sort"] = asked_for.value
    return page(
        request,
        "predictions.html",
        principal=principal,
        card=card,
        page=listed,
        problem=problem,
        asked=filters | {"sort": asked_for.value},
        order=order,
        filtered=filtered,
        headings={by: _heading(by, order, kept) if _may_go_by(by, filters) else None for by in FIRST},
        any_running=any(item.status.value in wording.RUNNING for item in listed.items),
        here=_address(kept | ({"cursor": cursor} if cursor else {})),
        first=_address(kept) if cursor else "",
        following=_address(kept | {"cursor": listed.next_cursor}) if listed.next_cursor else "",
    )


def back_to_list(address: str, prediction_id: str) -> str | None:
    """Return where a form of the list goes back to: the list as it was, at the row; None if it is no list."""
    # Nothing but the list's own address, or the form would lead anywhere.
    path, _, _ = address.partition("?")
    return f"{address.partition('#')[0]}#to-{prediction_id}" if path == ADDRESS else None


def _order(sort: str) -> Sort:
    try:
        return Sort(sort or Sort.NEWEST)
    except ValueError as error:
        raise FieldsNotValidError([{"where": "query.sort", "problem": "expected a known order"}]) from error


def _may_go_by(by: str, filters: dict[str, str]) -> bool:
    # What is found by its pseudonym is listed by it.
    return by == Sort.SUBJECT.by or not filters["subject_id"]


def _heading(by: str, order: Sort, kept: dict[str, str]) -> Heading:
    if order.by != by:
        return Heading(_address(kept | {"sort": FIRST[by].value}), "")
    turned = Sort(by if order.descending else f"-{by}")
    return Heading(_address(kept | {"sort": turned.value}), "descending" if order.descending else "ascending")


def _filter(filters: dict[str, str]) -> PredictionFilter:
    expected = "expected a known status, a pseudonym, and days such as 2026-11-28"
    refusal = FieldsNotValidError([{"where": "query", "problem": expected}])
    prefix = filters["subject_id"]
    if prefix and not re.match(PSEUDONYM, prefix):
        raise refusal
    try:
        return PredictionFilter(
            status=PredictionState(filters["status"]) if filters["status"] else None,
            subject_prefix=prefix or None,
            since=midnight(filters["from"]),
            until=midnight(filters["to"], days_later=1),
        )
    except (ValueError, OverflowError) as error:
        raise refusal from error


def _address(query: dict[str, str]) -> str:
    return ADDRESS + (f"?{urlencode(query)}" if query else "")
