"""The message queue: it only wakes workers. A message carries an id and nothing else."""

from pathlib import Path
from ssl import CERT_REQUIRED
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

from celery import Celery
from kombu.entity import Exchange, Queue
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.job import JobRow
from service.db.restricted import OrganisationSessions
from service.db.rows import (
    DriftReferenceRow,
    EvaluationRow,
    ExplanationRow,
    Lane,
    PredictionRow,
    ScoreRow,
    TrainingFoldRow,
    TrainingRunRow,
)
from service.embedded import filebroker
from service.logs import get_logger
from service.settings import Settings

QueueName = Literal[
    "inference", "normalising", "explanation", "evaluation", "scoring", "planning", "training", "maintenance"
]
QUEUES: tuple[QueueName, ...] = get_args(QueueName)

PREDICTION_RUN = "prediction.run"
NORMALISING_RUN = "normalising.run"
EXPLANATION_RUN = "explanation.run"
EVALUATION_RUN = "evaluation.run"
SCORE_RUN = "score.run"
TRAINING_RUN = "training.run"
TRAINING_FOLD = "training.fold"
DRIFT_REFERENCE = "drift.reference"
MAINTENANCE_SWEEP = "maintenance.sweep"

# Which task does a kind of job, and the queue that its messages go to; some go to others on their way.
_LANES: dict[tuple[type[JobRow], str], tuple[str, QueueName]] = {
    # Minutes, where an answer takes a second.
    (PredictionRow, Lane.NORMALISING): (NORMALISING_RUN, "normalising"),
}
_TASKS: dict[type[JobRow], tuple[str, QueueName]] = {
    PredictionRow: (PREDICTION_RUN, "inference"),
    ExplanationRow: (EXPLANATION_RUN, "explanation"),
    # Minutes each: whoever waits to see what drove an answer does not wait for that on another machine.
    EvaluationRow: (EVALUATION_RUN, "evaluation"),
    # Not the queue of the explanations, which people wait for.
    ScoreRow: (SCORE_RUN, "scoring"),
    # Not the queue of the folds, nor any that a worker of folds takes: a run is planned, and finished, in
    # seconds, and would wait behind other runs for hours.
    TrainingRunRow: (TRAINING_RUN, "planning"),
    TrainingFoldRow: (TRAINING_FOLD, "training"),
    # Not a queue that people wait for, nor one whose jobs take hours.
    DriftReferenceRow: (DRIFT_REFERENCE, "evaluation"),
}

# How long a request may hang on a broker that does not answer, in seconds, and how long a worker does before
# it connects anew.
BROKER_TIMEOUT_S = 2
WORKER_BROKER_TIMEOUT_S = 10

log = get_logger(__name__)


def make_celery(settings: Settings, *, silence_s: float = BROKER_TIMEOUT_S) -> Celery:
    """Return a Celery application for publishing; a worker adds its tasks to it.

    Nothing connects yet. With the embedded broker, its folders are made.

    Parameters
    ----------
    settings : Settings
    silence_s : float
        How long a broker that was reached may keep silent.
    """
    app = Celery("restnet", set_as_current=False)
    app.conf.update(
        **_broker(settings, silence_s=silence_s),
        task_queues=[_queue(name) for name in QUEUES],
        task_default_queue="inference",
        task_create_missing_queues=False,
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        # The answer is a row: a result backend would be a second truth.
        result_backend=None,
        task_ignore_result=True,
        # A message is done when its job is. A worker that dies is the lease's business, not the broker's: a
        # message given back at once would find the lease still held, and would be one more way to start a
        # job that kills its worker.
        task_acks_late=True,
        task_acks_on_failure_or_timeout=True,
        task_reject_on_worker_lost=False,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # Torch and CUDA do not survive a fork.
        worker_pool="prefork",
        worker_pool_start_method="spawn",
        # A fresh child imports torch before it reports that it is alive; the default is 4 s.
        worker_proc_alive_timeout=120.0,
        # How long a killed child keeps its place before it counts as lost; the default is 10 s.
        worker_lost_wait=1.0,
        worker_soft_shutdown_timeout=settings.shutdown_s,
        # The job keeps both limits itself; Celery's is for a process in which no thread runs any more. A fold
        # may take hours and has none: whether its process is alive is for its lease to tell.
        task_annotations={
            task: {"time_limit": settings.hard_time_limit_s + more_s + 60}
            for task, more_s in (
                (PREDICTION_RUN, 0),
                # These may have to bring a scan into template space again.
                (EXPLANATION_RUN, settings.normalising_time_s),
                (SCORE_RUN, settings.normalising_time_s),
            )
        },
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=BROKER_TIMEOUT_S,
        broker_pool_acquire_timeout=BROKER_TIMEOUT_S,
        enable_utc=True,
    )
    return app


def lanes_of(kind: type[JobRow]) -> tuple[str | None, ...]:
    """Return the lanes of a kind of job; None alone where it has one queue."""
    others = [lane for several, lane in _LANES if several is kind]
    return (Lane.INFERENCE, *others) if others else (None,)


def publish(app: Celery, kind: type[JobRow], job_id: str, *, lane: str | None = None) -> bool:
    """Announce a queued job to the workers; False, with a line in the log, when the broker is away.

    Call it after the commit: the row is the outbox, and the sweep announces again what was not heard.
    """
    task, queue = _route(kind, lane)
    try:
        app.send_task(task, args=[job_id], queue=queue, retry=False)
    except Exception as error:  # noqa: BLE001  (each transport has its own errors; none may fail an upload)
        log.warning("publish_failed", job_id=job_id, reason=type(error).__name__)
        return False
    return True


def announce(
    app: Celery,
    sessions: sessionmaker[Session] | OrganisationSessions,
    kind: type[JobRow],
    job_id: str,
    *,
    lane: str | None = None,
) -> bool:
    """Publish and note it on the row, so that the sweep does not publish it again at once.

    Returns
    -------
    bool
        Whether the message is out. The note is a hint: a database that fails here costs one message too many,
        never the job, which is committed.
    """
    if not publish(app, kind, job_id, lane=lane):
        return False
    try:
        with sessions.begin() as session:
            jobs.mark_published(session, kind, [job_id])
    except SQLAlchemyError as error:
        log.warning("mark_failed", job_id=job_id, reason=type(error).__name__)
    return True


def messages_waiting(app: Celery, kind: type[JobRow], *, lane: str | None = None) -> int | None:
    """Count the messages for a kind of job that no worker has taken yet; None when the broker is away."""
    _, queue = _route(kind, lane)
    try:
        with app.connection_or_acquire() as connection, connection.channel() as channel:
            # Not passive: kombu looks for Redis's queues without the prefix of their names and finds none.
            return int(channel.queue_declare(queue).message_count)
    except Exception as error:  # noqa: BLE001  (each transport has its own errors)
        log.warning("count_failed", queue=queue, reason=type(error).__name__)
        return None


def _route(kind: type[JobRow], lane: str | None) -> tuple[str, QueueName]:
    return _TASKS[kind] if lane is None else _LANES.get((kind, lane), _TASKS[kind])


def _queue(name: QueueName) -> Queue:
    # The nameless exchange takes a message straight to the queue of its routing key. With Celery's own
    # default exchange a message would reach all of them.
    return Queue(name, Exchange(""), routing_key=name)  # type: ignore[no-untyped-call]  # kombu's


def _broker(settings: Settings, *, silence_s: float) -> dict[str, Any]:
    url = settings.broker_url.get_secret_value()
    parts = urlsplit(url)
    if parts.scheme == "filesystem":
        return {
            "broker_url": "filesystem://localhost",
            "broker_transport": "service.embedded.filebroker:Transport",
            "broker_transport_options": filebroker.prepare(Path(unquote(parts.netloc + parts.path))),
        }
    return {
        "broker_url": url,
        "broker_transport": "service.redisbroker:Transport",
        # kombu would take any certificate; the address may name an authority of its own.
        "broker_use_ssl": {"ssl_cert_reqs": CERT_REQUIRED} if parts.scheme == "rediss" else None,
        "broker_transport_options": {
            "global_keyprefix": "restnet:",
            # A message that is not acknowledged for this long is delivered once more: far above the longest
            # prediction. A fold may take longer: whoever gets its message again finds the fold claimed.
            "visibility_timeout": 10 * settings.hard_time_limit_s,
            "socket_connect_timeout": BROKER_TIMEOUT_S,
            "socket_timeout": silence_s,
            "health_check_interval": 10,
            # One more try, at once: a request must not wait for a broker that is away.
            "max_retries": 1,
            "interval_start": 0,
        },
    }
