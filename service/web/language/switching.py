"""Choosing a language, on any page, before a login as after it."""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse

from service.api.access.own_page import require_own_page
from service.api.access.principals import AnyResources
from service.web.access import local_path
from service.web.language.languages import COOKIE, Language

LIFETIME_S = 365 * 86400

router = APIRouter(include_in_schema=False)


@router.post("/language")
def choose(
    request: Request,
    resources: AnyResources,
    language: Annotated[Language, Form()],
    next: Annotated[str, Form(max_length=4096)] = "/",  # noqa: A002  (the form's own word)
) -> RedirectResponse:
    """Keep the choice in a cookie, which outlives the logout, and go back."""
    require_own_page(request)
    response = RedirectResponse(_back(request, local_path(next)), status_code=303)
    response.set_cookie(
        COOKIE, language, max_age=LIFETIME_S, path="/", secure=resources.https, httponly=True, samesite="lax"
    )
    return response


def _back(request: Request, drawn_at: str) -> str:
    """Return the address of the page: the list's moves on while it is filtered, and is not drawn anew."""
    path = drawn_at.partition("?")[0]
    try:
        referrer = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return drawn_at
    return f"{path}?{referrer.query}" if referrer.path == path and referrer.query else drawn_at
