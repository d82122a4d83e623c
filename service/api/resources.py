"""What one application holds for all its requests, built once from the settings."""

import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from anyio import CapacityLimiter
from celery import Celery
from fastapi import Request
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from service.api.access.principal import Principal
from service.api.edge.streams import Streams
from service.api.edge.upload_slots import UploadSlots
from service.api.figures.metrics import Metrics
from service.audit import ReadLog
from service.db.engine import make_engine, session_factory
from service.db.restricted import OrganisationSessions
from service.enclosure import Enclosure
from service.identity.logins import LoginQueue
from service.identity.throttle import LoginThrottle
from service.quarantine import open_quarantine
from service.queue import make_celery
from service.rates import Rates, open_rates
from service.settings import Settings
from service.storage import PartialUploads, Storage, open_partial_uploads, open_storage
from service.storage.sealing import Seal, open_seal
from service.tracing import Tracing, open_tracing

if TYPE_CHECKING:
    from service.provider.client import IdentityProvider

SUBMITTING_THREADS = 16
# A write is short; more threads would only take the interpreter from each other and from the pages.
RECEIVING_THREADS = 4
# A PDF takes all of a core for its tens of milliseconds.
REPORTING_THREADS = 2
# A checkpoint is read whole: more at once would only take the disk from each other.
HASHING_THREADS = 2


@dataclass(frozen=True)
class Resources:
    """Connections, counters and the settings they came from.

    Attributes
    ----------
    unrestricted_sessions : sessionmaker
        See every organisation's rows: for finding out who asks, and for figures of the whole installation.
    submitting : CapacityLimiter
        Threads that hand scans to storage, apart from those of every other request: a storage that keeps them
        waiting must not keep the pages waiting.
    receiving : CapacityLimiter
        Threads that write what arrives, apart for the same reason: a page would stand in line behind hundreds
        of uploads.
    reporting : CapacityLimiter
        Threads that set PDFs, so that many at once wait for each other and not the pages for them.
    hashing : CapacityLimiter
        Threads that read checkpoints through, apart for the same reason.
    verifying : threading.Lock
        Held by the request that walks the chain of the audit: one at a time.
    stopping : threading.Event
        Set when the server is told to stop: streams that would never end, end.
    """

    settings: Settings
    engine: Engine
    unrestricted_sessions: sessionmaker[Session]
    storage: Storage
    partial_uploads: PartialUploads
    queue: Celery
    reads: ReadLog
    throttle: LoginThrottle
    rates: Rates
    upload_slots: UploadSlots
    provider: "IdentityProvider | None"
    seal: Seal
    quarantine: Enclosure = field(default_factory=open_quarantine)
    tracing: Tracing = field(default_factory=Tracing)
    metrics: Metrics = field(default_factory=Metrics)
    logins: LoginQueue = field(default_factory=LoginQueue)
    streams: Streams = field(default_factory=Streams)
    submitting: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(SUBMITTING_THREADS))
    receiving: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(RECEIVING_THREADS))
    reporting: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(REPORTING_THREADS))
    hashing: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(HASHING_THREADS))
    verifying: threading.Lock = field(default_factory=threading.Lock)
    stopping: threading.Event = field(default_factory=threading.Event)

    def sessions_for(self, principal: Principal) -> OrganisationSessions:
        """Return what opens sessions that see and write the rows of the account's organisation only."""
        return OrganisationSessions(self.engine, principal.organisation_id)

    def address_of(self, request: Request, path: str) -> str:
        """Return the whole address of a page: as the settings name the service, else as the request did."""
        return (self.settings.public_url or str(request.base_url)).rstrip("/") + path

    @property
    def https(self) -> bool:
        """Whether people reach the service by https."""
        return urlsplit(self.settings.public_url or "").scheme == "https"

    @property
    def cookie_name(self) -> str:
        """Name of the login's cookie; the prefix makes browsers hold it to https, this host and path /."""
        return "__Host-restnet" if self.https else "restnet"

    @property
    def browser_cookie_name(self) -> str:
        """Name of the cookie by which accounts know a browser."""
        return f"{self.cookie_name}-browser"

    @property
    def second_step_cookie_name(self) -> str:
        """Name of the cookie of a login that waits for its code."""
        return f"{self.cookie_name}-second"

    @property
    def idle(self) -> timedelta:
        """How long a login lives without a request."""
        return timedelta(seconds=self.settings.session_idle_s)

    @property
    def first_password_lifetime(self) -> timedelta:
        """How long a password that somebody else has set opens an account."""
        return timedelta(seconds=self.settings.first_password_lifetime_s)

    @property
    def lifetime(self) -> timedelta:
        """How long a login lives in any case."""
        return timedelta(seconds=self.settings.session_lifetime_s)


def open_resources(settings: Settings) -> Resources:
    """Connect the application's parts; nothing is reached over the network yet."""
    engine = make_engine(settings.database_url.get_secret_value())
    sessions = session_factory(engine)
    return Resources(
        settings=settings,
        engine=engine,
        unrestricted_sessions=sessions,
        storage=open_storage(settings),
        partial_uploads=open_partial_uploads(settings),
        queue=make_celery(settings),
        tracing=open_tracing(settings.otlp_endpoint, service="restnet-web"),
        reads=ReadLog(window_s=settings.audit_reads_s),
        throttle=LoginThrottle(sessions),
        rates=open_rates(settings),
        provider=_provider(settings),
        seal=open_seal(settings.encryption_key_file),
        upload_slots=UploadSlots(settings.uploads_at_once, settings.uploads_at_once_per_account),
    )


def _provider(settings: Settings) -> "IdentityProvider | None":
    if settings.oidc_issuer is None:
        return None
    # Authlib and its cryptography are loaded only where a provider is named.
    from service.provider.client import open_provider  # noqa: PLC0415

    return open_provider(settings)


def resources_of(request: Request) -> Resources:
    """Return the resources of the application that serves a request."""
    resources = request.app.state.resources
    if not isinstance(resources, Resources):
        message = "expected the application's resources, found none"
        raise TypeError(message)
    return resources
