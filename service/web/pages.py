"""Everything that people see: the pages, what they are drawn with, and how errors look."""

from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.api.problems.problem import Problem
from service.api.problems.refusals import (
    AuthenticationRequiredError,
    CrossSiteRequestError,
    PasswordChangeRequiredError,
    SecondFactorRequiredError,
)
from service.api.resources import Resources
from service.web import (
    account,
    invitation,
    login,
    review_counts,
    second_factor,
    second_step,
    views,
    worklist,
)
from service.web.access import page_address
from service.web.administration import audit, keys, user, users
from service.web.drift import pages as drift
from service.web.evaluation import pages as evaluation
from service.web.language import _, marked, switching
from service.web.models import pages as models
from service.web.models import scores
from service.web.prediction import explanations, reloaded, reviews
from service.web.rendering import FOLDER, page
from service.web.training import pages as training

HEADINGS = {
    403: (
        marked("Not allowed"),
        marked("This account may not do that."),
    ),
    404: (marked("Nothing here"), marked("This page does not exist, or what it showed has been deleted.")),
    409: (
        marked("Not now"),
        marked("Something else has happened to it meanwhile. Look at it again."),
    ),
    408: (
        marked("Too slow"),
        marked("The connection did not keep up, so nothing was taken. Go back and try again."),
    ),
    429: (
        marked("Not so fast"),
        marked("Too many requests came from here. Wait a moment, then go back and try again."),
    ),
    503: (
        marked("Back shortly"),
        marked("A part of the service does not answer. Nothing that was accepted is lost."),
    ),
}
# What somebody is to do on the page of their account before anything else.
SETTLED_AT_THE_ACCOUNT = frozenset({PasswordChangeRequiredError.code, SecondFactorRequiredError.code})
OUR_FAULT = (
    marked("Something went wrong"),
    marked("The fault is on our side. Nothing that was accepted is lost."),
)
THEIR_REQUEST = (
    marked("That did not work"),
    marked("The request could not be understood. Go back and try again."),
)


class StaticFolder(StaticFiles):
    """Files for everybody, which browsers may keep but ask about again: a new version is seen at once."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Answer with a file."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve a file; all of them count as one route."""
        scope["route"] = _STATIC_ROUTE
        await super().__call__(scope, receive, send)


class _StaticRoute:
    path = "/static/{path}"


_STATIC_ROUTE = _StaticRoute()


def add_pages(app: FastAPI, resources: Resources) -> None:
    """Add the pages and their static files to an application."""
    app.include_router(login.router)
    if resources.provider is not None:
        from service.web import provider_login  # noqa: PLC0415  (Authlib is loaded where it is needed)

        app.include_router(provider_login.router)
    for module in (second_step, account, second_factor, invitation, review_counts, users, user, keys, audit):
        app.include_router(module.router)
    app.include_router(switching.router)
    app.include_router(models.router)
    app.include_router(scores.router)
    app.include_router(drift.router)
    app.include_router(worklist.router)
    app.include_router(evaluation.router)
    app.include_router(training.router)
    app.include_router(views.router)
    app.include_router(reviews.router)
    app.include_router(explanations.router)
    app.include_router(reloaded.router)
    # Only what is the same for everybody: beside what a stranger can have a page repeat, the size of a
    # compressed page would tell what else is on it.
    app.mount("/static", GZipMiddleware(StaticFolder(directory=FOLDER / "static")), name="static")


def render_problem(request: Request, problem: Problem) -> Response:
    """Show an error to a person: without a login the way to it, otherwise a page without technicalities."""
    if problem.code == AuthenticationRequiredError.code:
        return _to_login(request)
    if problem.code in SETTLED_AT_THE_ACCOUNT:
        return _go(request, "/account")
    fallback = OUR_FAULT if problem.status >= 500 else THEIR_REQUEST
    heading, explanation = HEADINGS.get(problem.status, fallback)
    if problem.code == CrossSiteRequestError.code and problem.remedy:
        explanation = problem.remedy
    return page(
        request,
        "error.html",
        principal=None,
        status=problem.status,
        problem=problem,
        heading=_(heading),
        explanation=_(explanation),
    )


def _to_login(request: Request) -> Response:
    asked = {}
    back = page_address(request)
    if request.method != "GET":
        # What was sent is lost: the log-in page says so. Back to the page that the form stood on.
        lost = {"/scans": "scan", "/logout": ""}.get(request.url.path, "change")
        asked = {"lost": lost} if lost else {}
    asked |= {"next": back} if back != "/" else {}
    return _go(request, f"/login?{urlencode(asked)}" if asked else "/login")


def _go(request: Request, target: str) -> Response:
    if "hx-request" in request.headers:
        # A part of a page cannot be sent elsewhere by a redirect: htmx follows this header as a whole page.
        return Response(status_code=204, headers={"HX-Redirect": target})
    return RedirectResponse(target, status_code=303)
