"""Whether a page of ours sent a request: a browser sends a login's cookie for whoever asks it to."""

import secrets
from urllib.parse import urlsplit

from fastapi import Request

from service.api.access.principal import Principal
from service.api.problems.refusals import CrossSiteRequestError
from service.api.resources import resources_of

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "X-CSRF-Token"


def require_csrf_token(principal: Principal, token: str | None) -> None:
    """Compare a request's token with its login's.

    Raises
    ------
    CrossSiteRequestError
        If they differ.
    """
    expected = principal.csrf_token
    if expected is None or token is None or not secrets.compare_digest(expected.encode(), token.encode()):
        raise CrossSiteRequestError


def require_own_page(request: Request) -> None:
    """Refuse what a browser sends for another site (Fetch Metadata first, Origin for older browsers).

    Raises
    ------
    CrossSiteRequestError
        If the browser says that another site caused the request. A client that says nothing is no browser.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in {"same-origin", "none"}:
            raise CrossSiteRequestError
        return
    origin = request.headers.get("origin")
    if origin is None:
        return
    public_url = resources_of(request).settings.public_url
    hosts = {request.headers.get("host"), urlsplit(public_url).netloc if public_url else None} - {None}
    if _host_of(origin) not in hosts:
        raise CrossSiteRequestError


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None
