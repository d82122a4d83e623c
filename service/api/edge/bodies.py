"""A limit on every request body except an upload, which is never held and has a limit of its own."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems.refusals import RequestTooLargeError

MAX_SMALL_BODY_BYTES = 64 * 1024
UPLOAD_PATHS = frozenset({"/api/v1/scans", "/scans"})
BEGUN_UPLOADS = "/api/v1/uploads"
"""Uploads in parts begin here, and their bytes go below it."""


class SmallBodies:
    """Refuse bodies that are too large before they are read into memory, announced or not.

    FastAPI's own ``max_body_size`` answers an announced size in plain text; this one is a problem document.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; uploads pass through."""
        if scope["type"] != "http" or _is_upload(scope):
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > MAX_SMALL_BODY_BYTES:
            raise RequestTooLargeError
        seen_bytes = 0

        async def receive_counted() -> Message:
            nonlocal seen_bytes
            message = await receive()
            seen_bytes += len(message.get("body", b""))
            if seen_bytes > MAX_SMALL_BODY_BYTES:
                # FastAPI turns any other exception of a body into a 400.
                raise HTTPException(413)
            return message

        await self.app(scope, receive_counted, send)


def _is_upload(scope: Scope) -> bool:
    path: str = scope["path"]
    return path in UPLOAD_PATHS or (scope["method"] == "PATCH" and path.startswith(f"{BEGUN_UPLOADS}/"))
