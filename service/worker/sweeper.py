"""Runs the sweep every few seconds: in a thread, so that neither a busy worker nor a lost broker stops it."""

import threading
from functools import partial

from celery import Celery
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.job import JobRow
from service.db.rows import JOB_KINDS, RunState, TrainingRunRow
from service.logs import get_logger
from service.queue import announce, lanes_of, messages_waiting, publish
from service.settings import Settings
from service.worker.guarding import guarded
from service.worker.score_rounds import look_after_scores

log = get_logger(__name__)


def sweep_all(app: Celery, sessions: sessionmaker[Session], *, republish_s: float) -> None:
    """Sweep every kind of job, and move on what goes on between jobs: training runs, batches, shadow mode.

    Each is guarded for itself, and what no answer waits for comes last: a fault in one leaves none of the
    others without their turn.
    """
    for kind in JOB_KINDS:
        for lane in lanes_of(kind):
            guarded(
                "sweep_failed",
                partial(sweep_once, app, sessions, kind, republish_s=republish_s, lane=lane),
                swept=kind.__name__,
            )
    guarded("sweep_failed", partial(settle_runs, app, sessions), swept="runs between folds")
    guarded("sweep_failed", partial(look_after_scores, app, sessions), swept="batches and shadow mode")


def settle_runs(app: Celery, sessions: sessionmaker[Session]) -> None:
    """Move on every training run whose folds are over; the next sweep announces what it leaves."""
    with sessions() as session:
        waiting = jobs.unsettled(session)
    for run_id in waiting:
        with sessions.begin() as session:
            moved = jobs.settle(session, run_id)
        if moved is not None:
            log.info("run_settled", training_run_id=run_id, state=moved.state.value)
            if moved.state == RunState.QUEUED:
                announce(app, sessions, TrainingRunRow, run_id)


def sweep_once(
    app: Celery,
    sessions: sessionmaker[Session],
    kind: type[JobRow],
    *,
    republish_s: float,
    lane: str | None = None,
) -> jobs.Sweep:
    """Recover jobs whose worker or message was lost, and announce the queued ones that nobody heard of.

    What was announced long ago is announced again only while the broker holds fewer messages than jobs wait:
    where jobs take hours, their messages are not lost but wait as long, and would pile up.
    """
    with sessions.begin() as session:
        found = jobs.sweep(session, kind, republish_s=republish_s, lane=lane)
    to_announce = list(found.to_publish)
    if found.to_repeat:
        n_messages = messages_waiting(app, kind, lane=lane)
        if n_messages is not None and n_messages < found.n_due:
            to_announce += found.to_repeat
    published = []
    for job_id in to_announce:
        if not publish(app, kind, job_id, lane=lane):
            # The broker is away: the next sweep tries again.
            break
        published.append(job_id)
    if published:
        with sessions.begin() as session:
            jobs.mark_published(session, kind, published)
    if found.requeued or found.lost or found.cancelled:
        log.warning("jobs_recovered", requeued=found.requeued, lost=found.lost, cancelled=found.cancelled)
    return found


class Sweeper:
    """Sweeps from a thread, at once and then every ``settings.sweep_s`` seconds."""

    def __init__(self, settings: Settings, *, app: Celery, sessions: sessionmaker[Session]) -> None:
        self._settings = settings
        self._app = app
        self._sessions = sessions
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
        while True:
            sweep_all(self._app, self._sessions, republish_s=self._settings.republish_s)
            if self._stopped.wait(self._settings.sweep_s):
                return
