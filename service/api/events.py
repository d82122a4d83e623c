"""Server-sent events: a prediction as it changes, from a short look into the database at each poll."""

import time
from collections.abc import AsyncIterator

import anyio
from anyio import to_thread

from service.api.payloads import PredictionResponse
from service.api.principals import Principal
from service.api.resources import Resources
from service.api.viewing import find_prediction, prediction_response
from service.db.rows import TERMINAL
from service.jobs import PredictionNotFoundError

POLL_S = 0.4
HEARTBEAT_S = 15.0


async def event_stream(resources: Resources, principal: Principal, prediction_id: str) -> AsyncIterator[str]:
    """Yield ``progress`` events until the prediction ends, the client goes or the server stops.

    Parameters
    ----------
    resources : Resources
        Each poll opens a session of its own in a thread and closes it at once.
    principal : Principal
        Asked anew at each poll: a scan that is deleted meanwhile ends the stream.
    prediction_id : str
    """
    last = ""
    spoke_at = time.monotonic()
    # Browsers reconnect by themselves: half a second after a server that restarts.
    yield "retry: 500\n\n"
    while not resources.stopping.is_set():
        try:
            now = await to_thread.run_sync(_look, resources, principal, prediction_id)
        except PredictionNotFoundError:
            return
        data = now.model_dump_json()
        if data != last:
            yield f"event: progress\ndata: {data}\n\n"
            last, spoke_at = data, time.monotonic()
        elif time.monotonic() - spoke_at >= HEARTBEAT_S:
            # A comment keeps proxies from closing a silent connection.
            yield ": still here\n\n"
            spoke_at = time.monotonic()
        if now.status in TERMINAL:
            return
        await anyio.sleep(POLL_S)


def _look(resources: Resources, principal: Principal, prediction_id: str) -> PredictionResponse:
    with resources.sessions() as session:
        return prediction_response(session, find_prediction(session, principal, prediction_id))
