"""``/api/v1/predictions``: follow a prediction, list them, stop one, try one again."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from service import jobs
from service.api.access.principals import AnyResources, PredictionChanger, PredictionReader
from service.api.actions.events import EventResponse, event_stream
from service.api.actions.sorting import Sort
from service.api.actions.viewing import (
    PredictionFilter,
    find_prediction,
    list_predictions,
    prediction_response,
    read_prediction,
)
from service.api.moments import Moment
from service.api.parameters import known_parameters_only
from service.api.patterns import PSEUDONYM
from service.api.payloads import PredictionPage, PredictionResponse
from service.api.problems.problem import problem_responses
from service.db.rows import PredictionRow, PredictionState
from service.queue import announce

router = APIRouter(
    prefix="/api/v1/predictions",
    tags=["predictions"],
    responses=problem_responses(422),
    dependencies=[Depends(known_parameters_only)],
)

# A stream is described by one of its events, which is how OpenAPI 3.2 and today's tools read it.
PROGRESS_EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"const": "progress"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/PredictionResponse"},
        },
    },
}

CHANGE_PROBLEMS = problem_responses(401, 403, 404, 409)


@router.get("", summary="List predictions", responses=problem_responses(401, 422))
def get_predictions(
    principal: PredictionReader,
    resources: AnyResources,
    *,
    status: PredictionState | None = None,
    subject_id: Annotated[str | None, Query(max_length=64, pattern=PSEUDONYM)] = None,
    subject_prefix: Annotated[
        str | None,
        Query(max_length=64, pattern=PSEUDONYM, description="How the pseudonym begins; case counts"),
    ] = None,
    since: Annotated[Moment, Query(description="Not before this moment; UTC without a zone")] = None,
    until: Annotated[Moment, Query(description="Before this moment; UTC without a zone")] = None,
    sort: Annotated[
        Sort | None,
        Query(
            description="With a minus the greatest first; `-created_at` unless said, and `subject_id` beside "
            "`subject_prefix`, which has no other order than that and its reverse. By `subject_id` only "
            "scans with a pseudonym are listed, by `adhd_probability` only what succeeded"
        ),
    ] = None,
    cursor: Annotated[str | None, Query(max_length=1024, description="Of a page in the same order")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> PredictionPage:
    """Return a page; follow `next_cursor` for the rest. Rows added meanwhile do not shift the pages."""
    chosen = PredictionFilter(
        status=status, subject_id=subject_id, subject_prefix=subject_prefix, since=since, until=until
    )
    order = sort or (Sort.NEWEST if subject_prefix is None else Sort.SUBJECT)
    with resources.sessions_for(principal).open() as session:
        return list_predictions(
            session, principal, chosen, sort=order, cursor=cursor, limit=limit, reads=resources.reads
        )


@router.get("/{prediction_id}", summary="Follow a prediction", responses=problem_responses(401, 404))
def get_prediction(
    prediction_id: str, principal: PredictionReader, resources: AnyResources
) -> PredictionResponse:
    """Return where a prediction stands and, at the end, its result or its error."""
    with resources.sessions_for(principal).open() as session:
        return read_prediction(session, principal, prediction_id, reads=resources.reads)


@router.get(
    "/{prediction_id}/events",
    summary="Follow a prediction as server-sent events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "`event: progress` with the prediction as JSON at each change, closed at its end",
            "content": {"text/event-stream": {"schema": PROGRESS_EVENT}},
        },
        **problem_responses(401, 404),
    },
)
def get_events(
    request: Request, prediction_id: str, principal: PredictionReader, resources: AnyResources
) -> StreamingResponse:
    """Stream the prediction at each change until it ends; no connection or thread is held between polls."""
    with resources.sessions_for(principal).open() as session:
        row_id = read_prediction(session, principal, prediction_id, reads=resources.reads).id
    return EventResponse(event_stream(request, principal, row_id), streams=resources.streams)


@router.post(
    "/{prediction_id}/cancel",
    summary="Stop a prediction",
    responses=CHANGE_PROBLEMS,
)
def cancel_prediction(
    prediction_id: str, principal: PredictionChanger, resources: AnyResources
) -> PredictionResponse:
    """Stop at once what waits; a running one is stopped by its worker within moments."""
    with resources.sessions_for(principal).open() as session:
        row_id = find_prediction(session, principal, prediction_id).id
        jobs.request_cancel(session, row_id, actor=principal.actor)
        session.commit()
        # Asked again it changes nothing, and is only a look.
        return read_prediction(session, principal, prediction_id, reads=resources.reads)


@router.post("/{prediction_id}/retry", summary="Try a prediction again", responses=CHANGE_PROBLEMS)
def retry_prediction(
    prediction_id: str, principal: PredictionChanger, resources: AnyResources
) -> PredictionResponse:
    """Queue a failed or cancelled prediction again."""
    with resources.sessions_for(principal).open() as session:
        row_id = find_prediction(session, principal, prediction_id).id
        jobs.retry(session, row_id, actor=principal.actor)
        session.commit()
        announce(resources.queue, resources.sessions_for(principal), PredictionRow, row_id)
        return prediction_response(session, find_prediction(session, principal, prediction_id))
