"""Jobs: the database is the truth, a message only wakes a worker, a committed ``queued`` row is the outbox.

What people ask for is in :mod:`service.jobs.requests`, what a worker does under its lease in
:mod:`service.jobs.lease`, what nobody is left to do in :mod:`service.jobs.recovery`. Every function takes the
caller's session and leaves the commit to the caller; none of them knows Celery.
"""

from service.jobs.change import PredictionNotFoundError
from service.jobs.failures import JobFailure
from service.jobs.lease import (
    OWNER_SEPARATOR,
    Lease,
    claim,
    fail,
    finish,
    postpone,
    renew,
    stop_cancelled,
    wait,
)
from service.jobs.progress import overall_progress
from service.jobs.recovery import Sweep, hand_back, mark_published, sweep
from service.jobs.requests import (
    PredictionFinishedError,
    PredictionNotRetryableError,
    enqueue,
    queue_position,
    request_cancel,
    retry,
)

__all__ = [
    "OWNER_SEPARATOR",
    "JobFailure",
    "Lease",
    "PredictionFinishedError",
    "PredictionNotFoundError",
    "PredictionNotRetryableError",
    "Sweep",
    "claim",
    "enqueue",
    "fail",
    "finish",
    "hand_back",
    "mark_published",
    "overall_progress",
    "postpone",
    "queue_position",
    "renew",
    "request_cancel",
    "retry",
    "stop_cancelled",
    "sweep",
    "wait",
]
