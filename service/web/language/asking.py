"""Which language a request is answered in: what was chosen on a page, or what the browser asks for."""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from service.web.language.languages import COOKIE, chosen, spoken


class AskedLanguage:
    """An ASGI layer that lies around whatever says something to a person.

    Parameters
    ----------
    app : ASGIApp
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request in its language."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        language = chosen(asked.cookies.get(COOKIE), asked.headers.get("accept-language", ""))
        with spoken(language):
            await self.app(scope, receive, send)
