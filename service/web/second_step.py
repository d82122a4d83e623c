"""The page that asks for a code after the password, where an account has an authenticator."""

from functools import partial
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from service.api.access.own_page import require_own_page
from service.api.access.principals import AnyResources
from service.api.problems.handlers import status_of
from service.api.resources import Resources
from service.db.rows import UserRow
from service.errors import ServiceError
from service.identity.second_factor import CodeNotValidError
from service.identity.second_steps import end_second_step, user_at_second_step
from service.identity.throttle import TooManyAttemptsError
from service.web import account_wording
from service.web.access import local_path, origin_of, set_second_step_cookie
from service.web.language import _
from service.web.login import arrived, open_for
from service.web.proving import attempt_of, check_code, said_of
from service.web.rendering import page

router = APIRouter(prefix="/login/code", include_in_schema=False)

Text = Annotated[str, Form(max_length=1024)]

# For the audit: what was refused was a code, after the right password.
AT_THE_SECOND_STEP = {"at": "second-factor"}


@router.get("")
def show_second_step(
    request: Request,
    resources: AnyResources,
    next: str = "/",  # noqa: A002  (the address's own word)
) -> Response:
    """Ask for a code, if the password was right within the last minutes."""
    target = local_path(next)
    if _waiting(request, resources) is None:
        return _begin_again(target)
    return _page(request, target=target)


@router.post("")
def take_second_step(
    request: Request,
    resources: AnyResources,
    code: Text,
    next: Text = "/",  # noqa: A002  (the form's own word)
) -> Response:
    """Begin a login, if the code is right."""
    require_own_page(request)
    target = local_path(next)
    user = _waiting(request, resources)
    if user is None:
        return _begin_again(target)
    attempt = attempt_of(request, resources, username=user.username, typed=code, details=AT_THE_SECOND_STEP)
    try:
        means = check_code(resources, attempt, user.id)
    except (CodeNotValidError, TooManyAttemptsError) as refusal:
        return _refused(request, refusal, target=target)
    with resources.unrestricted_sessions.begin() as session:
        end_second_step(session, request.cookies[resources.second_step_cookie_name])
        opened = open_for(
            session, resources, user, browser=attempt.browser, origin=origin_of(request), means=means
        )
    response = arrived(resources, opened, target)
    set_second_step_cookie(response, resources, "", max_age=0)
    return response


def _waiting(request: Request, resources: Resources) -> UserRow | None:
    with resources.unrestricted_sessions() as session:
        return user_at_second_step(session, request.cookies.get(resources.second_step_cookie_name))


def _begin_again(target: str) -> RedirectResponse:
    asked = f"?{urlencode({'next': target})}" if target != "/" else ""
    return RedirectResponse(f"/login{asked}", status_code=303)


def _page(request: Request, *, target: str, status: int = 200, error: str = "") -> HTMLResponse:
    return page(request, "second_step.html", principal=None, status=status, next=target, error=error)


def _refused(request: Request, refusal: ServiceError, *, target: str) -> HTMLResponse:
    show = partial(_page, request, target=target, status=status_of(refusal) or 500)
    if isinstance(refusal, TooManyAttemptsError):
        response = show(error=said_of(refusal))
        response.headers["Retry-After"] = str(refusal.retry_after_s)
        return response
    return show(error=_(account_wording.CODE_REFUSED))
