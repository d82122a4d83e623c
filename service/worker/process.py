"""One worker: a parent that talks to the broker and a spawned child that runs the jobs."""

import os
from collections.abc import Sequence
from typing import Any

from celery.signals import worker_ready, worker_shutting_down

from service import logs
from service.db.engine import make_engine, session_factory
from service.queue import QueueName, make_celery
from service.settings import Settings
from service.storage import open_storage
from service.worker import tasks
from service.worker.sweeper import Sweeper

log = logs.get_logger(__name__)


def run_worker(settings: Settings, queues: Sequence[QueueName]) -> int:
    """Consume queues until the process is told to stop; returns its exit status.

    SIGTERM or SIGINT hands the running job back and ends the worker. A worker that consumes ``maintenance``
    also sweeps.
    """
    logs.configure(log_format=settings.log_format, log_level=settings.log_level)
    app = make_celery(settings)
    # A spawned child gets the configuration, not this process's memory.
    app.conf.update({"include": ["service.worker.tasks"], tasks.SETTINGS_KEY: settings.dump()})
    app.set_current()
    worker = app.Worker(
        queues=list(queues),
        concurrency=1,
        hostname=f"{queues[0]}-{os.getpid()}@%h",
        loglevel=settings.log_level.upper(),
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        optimization="fair",
    )

    # Celery holds receivers weakly: these two live as long as this function.
    def ready(**_kwargs: Any) -> None:
        log.info("worker_ready", queues=list(queues))

    def hand_back(**_kwargs: Any) -> None:
        if worker.pool is not None:
            _signal_children(worker.pool.info["processes"])

    worker_ready.connect(ready)
    worker_shutting_down.connect(hand_back)
    sweeper = None
    if "maintenance" in queues:
        engine = make_engine(settings.database_url.get_secret_value())
        sweeper = Sweeper(
            settings,
            app=app,
            sessions=session_factory(engine),
            storage=open_storage(settings.storage_url),
        )
        sweeper.start()
    try:
        worker.start()
    finally:
        if sweeper is not None:
            sweeper.stop()
    return int(worker.exitcode or 0)


def _signal_children(process_ids: Sequence[int]) -> None:
    for process_id in process_ids:
        try:
            os.kill(process_id, tasks.HAND_BACK)
        except ProcessLookupError:
            continue
