"""Runs the sweep every few seconds: in a thread, so that neither a busy worker nor a lost broker stops it."""

import threading
from collections.abc import Callable
from time import monotonic

from celery import Celery
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.logs import get_logger
from service.queue import publish
from service.settings import Settings
from service.storage import Storage
from service.worker.orphans import remove_orphans

# An upload that takes longer than this was given up, in seconds.
QUARANTINE_S = 24 * 3600
# Storage is tidied at the start and then at this pace, in seconds: every stored scan is looked at.
TIDY_S = 600.0

log = get_logger(__name__)


def sweep_once(app: Celery, sessions: sessionmaker[Session], *, republish_s: float) -> jobs.Sweep:
    """Recover jobs whose worker or message was lost, and announce the queued ones that nobody heard of."""
    with sessions.begin() as session:
        found = jobs.sweep(session, republish_s=republish_s)
    published = []
    for prediction_id in found.to_publish:
        if not publish(app, prediction_id):
            # The broker is away: the next sweep tries again.
            break
        published.append(prediction_id)
    if published:
        with sessions.begin() as session:
            jobs.mark_published(session, published)
    if found.requeued or found.lost or found.cancelled:
        log.warning("jobs_recovered", requeued=found.requeued, lost=found.lost, cancelled=found.cancelled)
    return found


class Sweeper:
    """Sweeps from a thread, at once and then every ``settings.sweep_s`` seconds, and tidies the storage."""

    def __init__(
        self, settings: Settings, *, app: Celery, sessions: sessionmaker[Session], storage: Storage
    ) -> None:
        self._settings = settings
        self._app = app
        self._sessions = sessions
        self._storage = storage
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, within the time of one sweep."""
        self._stopped.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        tidy_at = monotonic()
        while True:
            self._guarded("sweep_failed", self._sweep)
            if monotonic() >= tidy_at:
                self._guarded("tidying_failed", self._tidy)
                tidy_at = monotonic() + TIDY_S
            if self._stopped.wait(self._settings.sweep_s):
                return

    def _sweep(self) -> None:
        sweep_once(self._app, self._sessions, republish_s=self._settings.republish_s)

    def _tidy(self) -> None:
        self._storage.purge_quarantine(older_than_s=QUARANTINE_S)
        remove_orphans(self._sessions, self._storage)

    def _guarded(self, event: str, act: Callable[[], None]) -> None:
        try:
            act()
        except (DBAPIError, OSError) as error:
            log.warning(event, reason=type(error).__name__)
        except Exception:
            # Without this thread nothing that was lost would ever be found: a fault of ours must not end it.
            log.exception(event)
