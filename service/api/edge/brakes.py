"""What every request passes first: a limit on how often it is sent, and on how slowly its body comes."""

import time

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.edge.bodies import BEGUN_UPLOADS, UPLOAD_PATHS
from service.identity.accounts import secret_hash
from service.networks import neighbour
from service.rates import Kind, Rates

# What looks after the service asks often and must always be answered; files are cheap.
NOT_COUNTED = frozenset({"/healthz", "/readyz", "/metrics"})
FILES = "/static/"


class CountedRequests:
    """Refuse who asks too often, by address and by key or login, before either is looked up.

    Parameters
    ----------
    app : ASGIApp
    rates : Rates
    cookie_name : str
        Of the login.
    """

    def __init__(self, app: ASGIApp, *, rates: Rates, cookie_name: str) -> None:
        self.app = app
        self.rates = rates
        self.cookie_name = cookie_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, unless it is one too many."""
        if scope["type"] == "http" and not self._is_free(scope["path"]):
            request = Request(scope)
            upload = scope["method"] == "POST" and scope["path"] in {*UPLOAD_PATHS, BEGUN_UPLOADS}
            await self.rates.count(
                Kind.UPLOAD if upload else Kind.OTHER,
                address=neighbour(request.client.host if request.client else ""),
                credential=self._credential(request),
            )
        await self.app(scope, receive, send)

    def _is_free(self, path: str) -> bool:
        return path in NOT_COUNTED or path.startswith(FILES)

    def _credential(self, request: Request) -> str | None:
        secret = request.headers.get("authorization") or request.cookies.get(self.cookie_name)
        return None if secret is None else secret_hash(secret)


class PacedBodies:
    """Give a client up whose body comes too slowly, and with it what the request holds.

    Only the time that is spent waiting for the client counts, not that of our own disk.

    Parameters
    ----------
    app : ASGIApp
    window_s : float
        How long is waited before the body is judged, again and again.
    bytes_per_s : int
        What must have come in that time, for each second of it.
    """

    def __init__(self, app: ASGIApp, *, window_s: float, bytes_per_s: int) -> None:
        self.app = app
        self.window_s = window_s
        self.least_bytes = window_s * bytes_per_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; its body must keep coming."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        waited_s = 0.0
        came_bytes = 0
        whole = False

        async def receive_in_time() -> Message:
            nonlocal waited_s, came_bytes, whole
            if whole:
                # What follows is the wait for the client to leave.
                return await receive()
            while True:
                began = time.monotonic()
                with anyio.move_on_after(self.window_s - waited_s):
                    message = await receive()
                    waited_s += time.monotonic() - began
                    came_bytes += len(message.get("body", b""))
                    whole = message["type"] != "http.request" or not message.get("more_body", False)
                    return message
                if came_bytes < self.least_bytes:
                    # FastAPI turns any other exception of a body into a 400.
                    raise HTTPException(408)
                waited_s, came_bytes = 0.0, 0

        await self.app(scope, receive_in_time, send)
