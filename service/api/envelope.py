"""What goes around every answer: protective headers, counters, and the last catch of a fault."""

import time

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import Renderer, error_response
from service.api.metrics import Metrics

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

# Referrer-Policy is not "no-referrer": that would turn the Origin of our own forms into "null".
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), browsing-topics=()",
}
HSTS = "max-age=31536000"


class Envelope:
    """The outermost ASGI layer of the application.

    Parameters
    ----------
    app : ASGIApp
    metrics : Metrics
        Counts each request under its route's template, never under its path.
    https : bool
        Whether people reach the service by https.
    page : callable or None
        Draws an error for a person's browser.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, https: bool, page: Renderer | None) -> None:
        self.app = app
        self.metrics = metrics
        self.https = https
        self.page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other kinds of connections pass through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(MutableHeaders(scope=message))
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = status or 499
        except Exception as error:
            if status:
                raise
            request = Request(scope, receive)
            await error_response(request, error, page=self.page)(scope, receive, send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self.metrics.observe(
                method=scope["method"], route=route, status=status, seconds=time.perf_counter() - began
            )

    def _add_headers(self, headers: MutableHeaders) -> None:
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        if self.https:
            headers.setdefault("Strict-Transport-Security", HSTS)
        # Answers may hold data about a person: no cache keeps them unless the route says otherwise.
        headers.setdefault("Cache-Control", "no-store")
