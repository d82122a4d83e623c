"""The pages of what another model says of scans: shadow mode, batches, and what would have changed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError
from sqlalchemy.orm import Session

from service import registry, scoring
from service.api.access.principal import Principal
from service.api.access.principals import AnyResources
from service.api.actions.rescoring import (
    begin_rescore,
    cancel_rescore,
    compare_rescore,
    list_changed_by_rescore,
    list_rescores,
    preview_rescore,
    read_rescore,
)
from service.api.actions.shadowing import (
    begin_shadow,
    compare_shadow,
    end_shadow,
    list_changed_in_shadow,
    read_shadow,
)
from service.api.actions.viewing import row_id
from service.api.problems.handlers import status_of
from service.api.resources import Resources
from service.api.scoring_payloads import (
    MAX_LIMIT,
    ChangedPage,
    ComparisonResponse,
    RescoreRequest,
    ShadowRequest,
)
from service.errors import ServiceError
from service.identity.permissions import Permission
from service.registry import REASON_MAX_LENGTH
from service.web.access import allowed_by_form, allowed_on_page
from service.web.days import midnight
from service.web.language import _
from service.web.models import score_wording, wording
from service.web.models.score_drawing import bars
from service.web.rendering import page

SHOWN = 50

Watcher = Annotated[Principal, Depends(allowed_on_page(Permission.MANAGE_MODELS))]
Manager = Annotated[Principal, Depends(allowed_by_form(Permission.MANAGE_MODELS))]
Text = Annotated[str, Form(max_length=4 * REASON_MAX_LENGTH)]
Word = Annotated[str, Form(max_length=64)]
Asked = Annotated[str, Query(max_length=64)]

router = APIRouter(prefix="/models/{model_id}", include_in_schema=False)


@dataclass(frozen=True)
class Typed:
    """An extent as it was typed: days and a number, each of which may be empty."""

    since: str = ""
    until: str = ""
    limit: str = ""

    def read(self) -> scoring.Extent:
        """Return what was meant.

        Raises
        ------
        ValueError, OverflowError
            If a day is none, or the number is none that a batch can have.
        """
        limit = int(self.limit) if self.limit.strip() else None
        if limit is not None and not 1 <= limit <= MAX_LIMIT:
            raise ValueError(self.limit)
        since: datetime | None = midnight(self.since)
        return scoring.Extent(since, midnight(self.until, days_later=1), limit)


@router.get("/scores")
def show_scores(
    request: Request,
    model_id: str,
    principal: Watcher,
    resources: AnyResources,
    *,
    done: str = "",
    count: Asked = "",
    since: Asked = "",
    until: Asked = "",
    limit: Asked = "",
    cursor: Annotated[str | None, Query(max_length=512)] = None,
) -> HTMLResponse:
    """Show a model's shadow mode and its batches; with `count`, how many scans another one would score."""
    typed, said = Typed(since, until, limit), _(score_wording.DONE.get(done, ""))
    return _page(
        request, principal, resources, model_id, done=said, typed=typed, count=bool(count), cursor=cursor
    )


@router.post("/shadow")
def begin(
    request: Request, model_id: str, principal: Manager, resources: AnyResources, *, reason: Text = ""
) -> Response:
    """Put the model in shadow."""

    def act(session: Session) -> str:
        asked = ShadowRequest(reason=_plain(reason))
        begin_shadow(session, principal, resources.storage, model_id, asked)
        return f"/models/{row_id(model_id)}/scores?done=begun"

    return _do(request, principal, resources, model_id, act, reason=reason)


@router.post("/shadow/end")
def end(request: Request, model_id: str, principal: Manager, resources: AnyResources) -> Response:
    """Take the model out of shadow."""

    def act(session: Session) -> str:
        end_shadow(session, principal, model_id)
        return f"/models/{row_id(model_id)}/scores?done=ended"

    return _do(request, principal, resources, model_id, act)


@router.post("/rescores")
def rescore(
    request: Request,
    model_id: str,
    principal: Manager,
    resources: AnyResources,
    *,
    reason: Text = "",
    since: Word = "",
    until: Word = "",
    limit: Word = "",
) -> Response:
    """Begin a batch, and lead to its page."""
    typed = Typed(since, until, limit)

    def act(session: Session) -> str:
        extent = typed.read()
        asked = RescoreRequest(
            model_version_id=row_id(model_id),
            reason=_plain(reason),
            since=extent.since,
            until=extent.until,
            limit=extent.limit,
        )
        begun = begin_rescore(session, principal, resources.storage, asked)
        return f"/models/{begun.model_version_id}/rescores/{begun.id}"

    return _do(request, principal, resources, model_id, act, reason=reason, typed=typed)


@router.get("/rescores/{rescore_id}")
def show_rescore(
    request: Request,
    model_id: str,
    rescore_id: str,
    principal: Watcher,
    resources: AnyResources,
    *,
    done: str = "",
    cursor: Annotated[str | None, Query(max_length=512)] = None,
) -> Response:
    """Show where a batch stands, and what would have changed by the scores that it has.

    A page that renews itself asks for the first alone: the other reads every score.
    """
    renewed = "hx-request" in request.headers
    comparison = changes = None
    with resources.sessions_for(principal).open() as session:
        batch = _batch_of(session, model_id, rescore_id)
        if renewed and batch.status != "running":
            return Response(headers={"HX-Refresh": "true"})
        if not renewed:
            changes = list_changed_by_rescore(
                session, principal, batch.id, cursor=cursor, limit=SHOWN, reads=resources.reads
            )
            comparison = compare_rescore(session, batch.id)
    return page(
        request,
        "models/rescore.html",
        principal=principal,
        done=_(score_wording.DONE.get(done, "")),
        batch=batch,
        live=batch.status == "running",
        here=f"/models/{batch.model_version_id}/rescores/{batch.id}",
        **_told(comparison, changes),
    )


@router.post("/rescores/{rescore_id}/cancel")
def cancel(model_id: str, rescore_id: str, principal: Manager, resources: AnyResources) -> RedirectResponse:
    """Cancel a batch; one that has just ended is simply shown."""
    with resources.sessions_for(principal).open() as session:
        batch = _batch_of(session, model_id, rescore_id)
        here = f"/models/{batch.model_version_id}/rescores/{batch.id}"
        try:
            cancel_rescore(session, principal, batch.id)
        except scoring.RescoreOverError:
            return RedirectResponse(here, status_code=303)
    return RedirectResponse(f"{here}?done=cancelled", status_code=303)


def _do(
    request: Request,
    principal: Principal,
    resources: Resources,
    model_id: str,
    act: Any,
    *,
    reason: str = "",
    typed: Typed | None = None,
) -> Response:
    """Act and lead on; what is refused is shown again with what was typed."""
    try:
        with resources.sessions_for(principal).open() as session:
            return RedirectResponse(act(session), status_code=303)
    except ValidationError:
        code, status = "reason_not_valid", 422
    except (ValueError, OverflowError):
        code, status = "days_not_valid", 422
    except ServiceError as refusal:
        if refusal.code not in score_wording.REFUSALS:
            raise
        code, status = refusal.code, status_of(refusal) or 500
    return _page(
        request,
        principal,
        resources,
        model_id,
        status=status,
        problem=_(score_wording.REFUSALS[code]),
        reason=reason,
        typed=typed,
        count=typed is not None and code != "days_not_valid",
    )


def _page(
    request: Request,
    principal: Principal,
    resources: Resources,
    model_id: str,
    *,
    status: int = 200,
    problem: str = "",
    done: str = "",
    reason: str = "",
    typed: Typed | None = None,
    count: bool = False,
    cursor: str | None = None,
) -> HTMLResponse:
    typed = typed or Typed()
    comparison = changes = scans = None
    with resources.sessions_for(principal).open() as session:
        version = registry.require_version(session, row_id(model_id))
        active = registry.active_model(session)
        present = registry.open_shadow(session)
        shadow = read_shadow(session, version.id).shadow
        batches = list_rescores(session, cursor=None, limit=SHOWN, model_id=version.id)
        if count:
            try:
                scans = preview_rescore(session, typed.read()).scans
            except (ValueError, OverflowError):
                status, problem = 422, _(score_wording.REFUSALS["days_not_valid"])
        if shadow is not None:
            changes = list_changed_in_shadow(
                session, principal, version.id, cursor=cursor, limit=SHOWN, reads=resources.reads
            )
            comparison = compare_shadow(session, version.id)
    return page(
        request,
        "models/scores.html",
        principal=principal,
        status=status,
        problem=problem,
        done=done,
        reason=reason,
        typed=typed,
        scans=scans,
        model=version,
        answers=active is not None and active.id == version.id,
        present=present,
        shadow=shadow,
        batches=batches,
        here=f"/models/{version.id}/scores",
        reason_max_length=REASON_MAX_LENGTH,
        max_limit=MAX_LIMIT,
        **_told(comparison, changes),
    )


def _told(comparison: ComparisonResponse | None, changes: ChangedPage | None) -> dict[str, Any]:
    differences = None if comparison is None else comparison.differences
    return {
        "comparison": comparison,
        "changes": changes,
        "bars": [] if differences is None else bars(differences),
        "words": wording,
        "scored": score_wording,
    }


def _batch_of(session: Session, model_id: str, rescore_id: str) -> Any:
    batch = read_rescore(session, rescore_id)
    if batch.model_version_id != row_id(model_id):
        raise scoring.RescoreNotFoundError
    return batch


def _plain(text: str) -> str:
    # Forms end lines with two characters.
    return text.replace("\r\n", "\n").strip()
