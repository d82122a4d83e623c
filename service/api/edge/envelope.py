"""What goes around every answer: its id, protective headers, a line in the log, the last catch of a fault."""

import time

from opentelemetry.trace import Span, SpanKind
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.figures.metrics import Metrics, method_label
from service.api.problems.handlers import Renderer, error_response
from service.correlation import REQUEST_ID_HEADER, correlated, current_request_id, request_id_for
from service.logs import get_logger
from service.tracing import Tracing

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; object-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
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
HSTS = "max-age=31536000; includeSubDomains"

# Asked for every few seconds by machines: told of only where they fail, or to who debugs.
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})

log = get_logger(__name__)


class Envelope:
    """The ASGI layer of the application that all others but the language lie in.

    Parameters
    ----------
    app : ASGIApp
    metrics : Metrics
        Counts each request under its route's template, never under its path.
    https : bool
        Whether people reach the service by https.
    page : callable or None
        Draws an error for a person's browser.
    tracing : Tracing
        Gets a span a request.
    """

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, https: bool, page: Renderer | None, tracing: Tracing
    ) -> None:
        self.app = app
        self.metrics = metrics
        self.https = https
        self.page = page
        self.tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other kinds of connections pass through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        method = method_label(scope["method"])
        with (
            correlated(request_id_for(headers.get(REQUEST_ID_HEADER))),
            self.tracing.span(method, kind=SpanKind.SERVER, parent=headers.get("traceparent")) as span,
        ):
            await self._answer(scope, receive, send, method=method, span=span)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, *, method: str, span: Span) -> None:
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
            self._tell(
                method=method,
                route=getattr(scope.get("route"), "path", "unmatched"),
                status=status,
                seconds=time.perf_counter() - began,
                span=span,
                found={name: scope[name] for name in ("actor", "code") if name in scope},
            )

    def _tell(
        self, *, method: str, route: str, status: int, seconds: float, span: Span, found: dict[str, str]
    ) -> None:
        self.metrics.observe(method=method, route=route, status=status, seconds=seconds)
        span.update_name(f"{method} {route}")
        span.set_attributes(
            {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        )
        # The template and nothing of the request's own: a path or a query may hold what a person typed.
        # Beside it who asked, as the audit names them, and the code of a refusal.
        tell = log.debug if route in PROBES and status < 500 else log.info
        tell("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1), **found)

    def _add_headers(self, headers: MutableHeaders) -> None:
        headers[REQUEST_ID_HEADER] = current_request_id() or ""
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        if self.https:
            headers.setdefault("Strict-Transport-Security", HSTS)
        # Answers may hold data about a person: no cache keeps them unless the route says otherwise.
        headers.setdefault("Cache-Control", "no-store")
