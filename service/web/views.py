"""The pages of somebody who is logged in: a new prediction, one prediction, what may be done to it."""

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from imaging.errors import ScanError
from service import jobs
from service.api.access.own_page import require_csrf_token, require_own_page
from service.api.access.principal import Principal
from service.api.access.principals import AnyResources
from service.api.actions.removal import delete_scan
from service.api.actions.uploads import receive_scan
from service.api.actions.viewing import find_prediction
from service.api.problems.handlers import problem_of, status_of
from service.api.problems.problem import Problem
from service.api.problems.refusals import CrossSiteRequestError
from service.api.resources import Resources
from service.db.rows import PredictionRow
from service.errors import ServiceError
from service.identity.permissions import Permission
from service.queue import announce
from service.web.access import allowed_by_form, allowed_on_page
from service.web.language import _
from service.web.prediction.page import active_card, prediction_page
from service.web.rendering import FOLDER, page
from service.web.script_words import FIELD_TO_GIVE, WHY_TO_GIVE
from service.web.wording import FIELDS_OF_FAILURES
from service.web.worklist import Reader, back_to_list

# A part of an upload: what a broken connection costs at most, behind a proxy that holds whole bodies back.
CHUNK_BYTES = 8 * 2**20
PARTS_CLIENT = FOLDER / "static" / "vendor" / "tus.min.js"

Uploader = Annotated[Principal, Depends(allowed_on_page(Permission.UPLOAD_SCANS))]
Changer = Annotated[Principal, Depends(allowed_by_form(Permission.CHANGE_PREDICTIONS))]
Deleter = Annotated[Principal, Depends(allowed_by_form(Permission.DELETE_SCANS))]
# The list's own address, where the form stands in the list.
Back = Annotated[str, Form(max_length=2048)]

router = APIRouter(include_in_schema=False)


@router.get("/")
def show_home(
    request: Request, principal: Uploader, resources: AnyResources, *, give: str = ""
) -> HTMLResponse:
    """Ask for a scan; ``give`` names the field that a prediction failed for the lack of."""
    return _home(request, principal, resources, give=give if give in FIELDS_OF_FAILURES.values() else "")


@router.post("/scans")
async def upload_by_form(request: Request, principal: Uploader, resources: AnyResources) -> Response:
    """Take a scan from the plain form and go to its prediction; a refusal shows the form again."""
    require_own_page(request)

    def check_token(fields: dict[str, str]) -> None:
        require_csrf_token(principal, fields.get("csrf_token"))

    try:
        submission = await receive_scan(
            request, principal, extra_fields=frozenset({"csrf_token"}), before_file=check_token
        )
    except CrossSiteRequestError:
        raise
    except (ScanError, ServiceError) as refusal:
        if (status_of(refusal) or 500) >= 500:
            raise
        document = problem_of(request, refusal)
        return await to_thread.run_sync(partial(_home, request, principal, resources, refusal=document))
    return _go(f"/predictions/{submission.prediction_id}")


@router.get("/predictions/{prediction_id}")
def show_prediction(
    request: Request, prediction_id: str, principal: Reader, resources: AnyResources
) -> HTMLResponse:
    """Show where a prediction stands, or what it says."""
    return prediction_page(request, principal, resources, prediction_id)


@router.post("/predictions/{prediction_id}/cancel")
def cancel(
    prediction_id: str, principal: Changer, resources: AnyResources, *, back: Back = ""
) -> RedirectResponse:
    """Stop a prediction; one that has just finished is simply shown."""
    with resources.sessions_for(principal).open() as session:
        row_id = find_prediction(session, principal, prediction_id).id
        try:
            jobs.request_cancel(session, row_id, actor=principal.actor)
        except jobs.PredictionFinishedError:
            session.rollback()
        session.commit()
    return _go(back_to_list(back, row_id) or f"/predictions/{row_id}")


@router.post("/predictions/{prediction_id}/retry")
def try_again(
    prediction_id: str, principal: Changer, resources: AnyResources, *, back: Back = ""
) -> RedirectResponse:
    """Queue a prediction again; one that is queued already, by a second click, is simply shown."""
    with resources.sessions_for(principal).open() as session:
        row_id = find_prediction(session, principal, prediction_id).id
        try:
            jobs.retry(session, row_id, actor=principal.actor)
        except jobs.PredictionNotRetryableError:
            session.rollback()
        else:
            session.commit()
            announce(resources.queue, resources.sessions_for(principal), PredictionRow, row_id)
    return _go(back_to_list(back, row_id) or f"/predictions/{row_id}")


@router.post("/scans/{scan_id}/delete")
def remove(scan_id: str, principal: Deleter, resources: AnyResources) -> RedirectResponse:
    """Delete a scan with its results and go to the list."""
    delete_scan(resources, principal, scan_id)
    return _go("/predictions")


def _home(
    request: Request,
    principal: Principal,
    resources: Resources,
    *,
    refusal: Problem | None = None,
    give: str = "",
) -> HTMLResponse:
    with resources.sessions_for(principal).open() as session:
        card = active_card(session)
    field, why = FIELD_TO_GIVE.get(refusal.code if refusal else "", (give, ""))
    return page(
        request,
        "home.html",
        principal=principal,
        status=refusal.status if refusal else 200,
        card=card,
        max_bytes=resources.settings.max_upload_bytes,
        chunk_bytes=CHUNK_BYTES if PARTS_CLIENT.is_file() else None,
        refusal=refusal,
        field_to_give=field,
        why_to_give=_(WHY_TO_GIVE[why]) if why else "",
    )


def _go(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=303)
