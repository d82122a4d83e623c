"""One worker: a parent that talks to the broker and a spawned child that runs the jobs."""

import os
import threading
import warnings
from collections.abc import Sequence
from time import sleep
from typing import Any

from celery.apps import worker as celery_worker
from celery.platforms import SecurityWarning
from celery.signals import worker_ready, worker_shutting_down
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from service import jobs, logs
from service.db.engine import make_engine, session_factory
from service.db.migrate import require_usable
from service.db.rows import JOB_KINDS
from service.presence import worker_name
from service.private import write_privately
from service.queue import QUEUES, WORKER_BROKER_TIMEOUT_S, QueueName, make_celery
from service.settings import Settings
from service.storage import open_storage
from service.worker.housekeeping import Housekeeping
from service.worker.presence import Presence
from service.worker.sweeper import Sweeper

HAND_BACK_S = 0.2

log = logs.get_logger(__name__)


def run_worker(settings: Settings, queues: Sequence[QueueName]) -> int:
    """Consume queues until the process is told to stop; returns its exit status.

    SIGTERM or SIGINT hands the running job back and ends the worker, with status 0. A worker that consumes
    ``maintenance`` also sweeps and keeps house.
    """
    logs.configure(log_format=settings.log_format, log_level=settings.log_level)
    write_privately()
    require_usable(settings.database_url.get_secret_value())
    # Where the settings of storage cannot work, this says so; a child could only be started again and again.
    storage = open_storage(settings)
    app = make_celery(settings, silence_s=WORKER_BROKER_TIMEOUT_S)
    # A spawned child gets the environment, not this process's memory.
    os.environ.update(settings.environment())
    app.conf.include = ["service.worker.tasks"]
    app.set_current()
    _quieten()
    # Root is usual in a container, and no message is ever unpickled: only JSON is accepted.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    name = worker_name(first_duty(queues))
    sessions = session_factory(make_engine(settings.database_url.get_secret_value()))
    worker = app.Worker(
        queues=list(queues),
        concurrency=1,
        hostname=name,
        quiet=True,
        loglevel=settings.log_level.upper(),
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        optimization="fair",
    )

    # Left by Celery for billiard, whose children would write raw lines until they have read our settings.
    os.environ.pop("_MP_FORK_LOGLEVEL_", None)

    told_to_stop = []

    # Celery holds receivers weakly: these two live as long as this function.
    def ready(**_kwargs: Any) -> None:
        log.info("worker_ready", queues=list(queues))

    def hand_back(*, how: str, **_kwargs: Any) -> None:
        if how == "Warm":
            told_to_stop.append(how)
        # A thread, because this runs in a signal handler.
        threading.Thread(target=_hand_back, args=(sessions, name), name="hand-back", daemon=True).start()

    worker_ready.connect(ready)
    worker_shutting_down.connect(hand_back)
    maintenance: list[Sweeper | Housekeeping] = []
    if "maintenance" in queues:
        maintenance.append(Sweeper(settings, app=app, sessions=sessions))
        maintenance.append(Housekeeping(settings, sessions=sessions, storage=storage))
    presence = Presence(sessions, worker=name, queues=queues)
    presence.start()
    for thread in maintenance:
        thread.start()
    try:
        worker.start()
    finally:
        presence.stop()
        for thread in maintenance:
            thread.stop()
    # For Celery SIGTERM is an end like any other and SIGINT a failure.
    return 0 if told_to_stop else int(worker.exitcode or 0)


def first_duty(queues: Sequence[QueueName]) -> QueueName:
    """Return the queue that a worker is named for: whether it answers for scans decides what it loads."""
    return min(queues, key=QUEUES.index)


def _quieten() -> None:
    """Keep what the libraries write past every logger out of our streams."""
    # Standard output belongs to the caller: `serve --json` promises one line there. Ours says it in the log.
    celery_worker.safe_say = lambda *_: None
    # billiard's tracker warns of semaphores that it then cleans up; it is a process of its own.
    known = filter(None, [os.environ.get("PYTHONWARNINGS"), "ignore:semaphore_tracker:UserWarning"])
    os.environ["PYTHONWARNINGS"] = ",".join(known)


def _hand_back(sessions: sessionmaker[Session], worker: str) -> None:
    log.info("worker_stopping")
    # Until the process ends: a message may reach the child after the first round. The child is not signalled,
    # because billiard's idle children take any signal for the end of their pool; it sees that its lease is
    # gone at its next heartbeat.
    while True:
        try:
            for kind in JOB_KINDS:
                with sessions.begin() as session:
                    handed_back = jobs.hand_back(session, kind, worker=worker)
                if handed_back:
                    log.info("jobs_handed_back", job_ids=handed_back)
        except DBAPIError as error:
            log.warning("hand_back_failed", reason=type(error).__name__)
        sleep(HAND_BACK_S)
