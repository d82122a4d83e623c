"""The web application: REST, the pages and what surrounds them, from one set of settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from service.api import (
    account,
    admin,
    docs,
    explanations,
    normalised_scans,
    operations,
    predictions,
    reports,
    reviews,
    scans,
    uploads,
)
from service.api.edge.bodies import SmallBodies
from service.api.edge.brakes import CountedRequests, PacedBodies
from service.api.edge.envelope import Envelope
from service.api.problems.handlers import install_error_handlers
from service.api.resources import open_resources
from service.settings import Settings
from service.web.language.asking import AskedLanguage
from service.web.pages import add_pages, render_problem


def create_app(settings: Settings) -> FastAPI:
    """Build the application.

    Parameters
    ----------
    settings : Settings
        The database must be migrated already; nothing is reached before the first request.
    """
    resources = open_resources(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        resources.stopping.set()
        resources.quarantine.close()
        resources.engine.dispose()
        resources.tracing.close()

    app = FastAPI(
        title="RestNet",
        version=_version(),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        # Spans are the envelope's, with templates and ids alone. FastAPI's would name paths, and
        # start by what the environment says.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.resources = resources
    app.add_middleware(SmallBodies)
    app.add_middleware(PacedBodies, window_s=settings.body_window_s, bytes_per_s=settings.body_bytes_per_s)
    app.add_middleware(CountedRequests, rates=resources.rates, cookie_name=resources.cookie_name)
    app.add_middleware(
        Envelope,
        metrics=resources.metrics,
        https=resources.https,
        page=render_problem,
        tracing=resources.tracing,
    )
    # Around the envelope, which draws the page of a fault.
    app.add_middleware(AskedLanguage)
    install_error_handlers(app, page=render_problem)
    for router in (
        scans.router,
        uploads.router,
        predictions.router,
        explanations.router,
        normalised_scans.router,
        reviews.router,
        reports.router,
        account.router,
        *admin.ROUTERS,
        operations.router,
        docs.router,
    ):
        app.include_router(router)
    add_pages(app, resources)
    docs.describe(app)
    return app


def _version() -> str:
    try:
        return version("restnet")
    except PackageNotFoundError:
        # Run from a checkout that was never installed.
        return "0"
