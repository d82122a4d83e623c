"""Server-sent events: a prediction as it changes, from a short look into the database at each poll."""

from collections.abc import AsyncIterator
from time import monotonic

import anyio
from anyio import to_thread
from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api.access.principal import Principal
from service.api.access.principals import identify
from service.api.actions.viewing import read_prediction
from service.api.edge.streams import Streams
from service.api.payloads import PredictionResponse
from service.api.problems.refusals import ApiKeyNotValidError
from service.api.resources import Resources, resources_of
from service.db.job import TERMINAL
from service.db.rows import PredictionState
from service.jobs import PredictionNotFoundError

POLL_S = 0.4
LONGEST_POLL_S = 2.0
BACK_OFF = 1.5
IDENTIFY_S = 10.0
HEARTBEAT_S = 15.0


class EventResponse(StreamingResponse):
    """An answer that stays open, counted for as long as it does.

    Parameters
    ----------
    events : async iterator of str
    streams : Streams
        Refuses one too many before anything is sent.
    """

    def __init__(self, events: AsyncIterator[str], *, streams: Streams) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the events end or the client goes."""
        with self._streams.one():
            await super().__call__(scope, receive, send)


async def event_stream(request: Request, principal: Principal, prediction_id: str) -> AsyncIterator[str]:
    """Yield ``progress`` events until the prediction ends, its reader may not see it, or the server stops.

    Parameters
    ----------
    request : Request
        Its key or login is looked at again every 10 s: one that was revoked or has ended ends the stream.
    principal : Principal
        Asked anew at each poll: a scan that is deleted meanwhile ends the stream.
    prediction_id : str
        As its row holds it.
    """
    resources = resources_of(request)
    last = ""
    poll_s = POLL_S
    spoke_at = identified_at = monotonic()
    # Browsers reconnect by themselves: half a second after a server that restarts.
    yield "retry: 500\n\n"
    while not resources.stopping.is_set():
        if monotonic() - identified_at >= IDENTIFY_S:
            found = await to_thread.run_sync(_identify_again, request)
            if found is None:
                return
            principal, identified_at = found, monotonic()
        try:
            now = await to_thread.run_sync(_look, resources, principal, prediction_id)
        except PredictionNotFoundError:
            return
        data = now.model_dump_json()
        if data != last:
            yield f"event: progress\ndata: {data}\n\n"
            last, spoke_at = data, monotonic()
            poll_s = POLL_S
        elif now.status == PredictionState.QUEUED:
            # A long line moves slowly: who waits in it asks less and less often.
            poll_s = min(poll_s * BACK_OFF, LONGEST_POLL_S)
        if monotonic() - spoke_at >= HEARTBEAT_S:
            # A comment keeps proxies from closing a silent connection.
            yield ": still here\n\n"
            spoke_at = monotonic()
        if now.status in TERMINAL:
            return
        await anyio.sleep(poll_s)


def _identify_again(request: Request) -> Principal | None:
    try:
        return identify(request, counts_as_use=False)
    except ApiKeyNotValidError:
        return None


def _look(resources: Resources, principal: Principal, prediction_id: str) -> PredictionResponse:
    with resources.sessions_for(principal).open() as session:
        return read_prediction(session, principal, prediction_id, reads=resources.reads)
