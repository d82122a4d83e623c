"""Jobs: the database is the truth, a message only wakes a worker, a committed ``queued`` row is the outbox.

What any kind of job has in common takes the class of its row: what a worker does under its lease is in
:mod:`service.jobs.lease`, what nobody is left to do in :mod:`service.jobs.recovery`, what people ask for in
:mod:`service.jobs.requests`. What only one kind has is in :mod:`service.jobs.predictions`,
:mod:`service.jobs.explanations` and the modules that are called after training. Every function takes the
caller's session and leaves the commit to the caller; none of them knows Celery.
"""

from service.jobs.explanations import (
    ExplanationNotAvailableError,
    enqueue_explanation,
    explanation_of,
    finish_explanation,
    request_explanation,
)
from service.jobs.failures import JobFailure
from service.jobs.lease import (
    OWNER_SEPARATOR,
    Lease,
    claim,
    fail,
    postpone,
    renew,
    stop_cancelled,
    succeed,
    wait,
)
from service.jobs.normalising import (
    NormalisedFile,
    finish_normalising,
    keep_known,
    let_go_on,
    normalise_again,
    normalised_of,
    note_made_again,
    send_to_normalising,
)
from service.jobs.predictions import (
    PredictionFinishedError,
    PredictionNotFinishedError,
    PredictionNotFoundError,
    PredictionNotRetryableError,
    enqueue,
    finish,
    request_cancel,
    retry,
)
from service.jobs.progress import overall_progress
from service.jobs.recovery import Sweep, hand_back, mark_published, sweep
from service.jobs.requests import cancel, queue_again
from service.jobs.training import RunToTrain, cancel_runs, enqueue_run, finish_fold, finish_run, folds_of
from service.jobs.training_log import lines_of, newest_lines, note
from service.jobs.training_requests import (
    TrainingRunNotFoundError,
    TrainingRunNotResumableError,
    TrainingRunOverError,
    cancel_run,
    has_reviewed_scans,
    is_refused_for_good,
    request_runs,
    resume_run,
    warnings_of,
)
from service.jobs.training_runs import (
    begin_training,
    end_well,
    folds_of_run,
    settle,
    stage_of,
    unsettled,
)
from service.jobs.waiting import pace_s, queue_position, queue_positions
from service.jobs.zips import ScanGivenUpError, TakenFile, give_up_zip, keep_taken, unwanted_zips

__all__ = [
    "OWNER_SEPARATOR",
    "ExplanationNotAvailableError",
    "JobFailure",
    "Lease",
    "NormalisedFile",
    "PredictionFinishedError",
    "PredictionNotFinishedError",
    "PredictionNotFoundError",
    "PredictionNotRetryableError",
    "RunToTrain",
    "ScanGivenUpError",
    "Sweep",
    "TakenFile",
    "TrainingRunNotFoundError",
    "TrainingRunNotResumableError",
    "TrainingRunOverError",
    "begin_training",
    "cancel",
    "cancel_run",
    "cancel_runs",
    "claim",
    "end_well",
    "enqueue",
    "enqueue_explanation",
    "enqueue_run",
    "explanation_of",
    "fail",
    "finish",
    "finish_explanation",
    "finish_fold",
    "finish_normalising",
    "finish_run",
    "folds_of",
    "folds_of_run",
    "give_up_zip",
    "hand_back",
    "has_reviewed_scans",
    "is_refused_for_good",
    "keep_known",
    "keep_taken",
    "let_go_on",
    "lines_of",
    "mark_published",
    "newest_lines",
    "normalise_again",
    "normalised_of",
    "note",
    "note_made_again",
    "overall_progress",
    "pace_s",
    "postpone",
    "queue_again",
    "queue_position",
    "queue_positions",
    "renew",
    "request_cancel",
    "request_explanation",
    "request_runs",
    "resume_run",
    "retry",
    "send_to_normalising",
    "settle",
    "stage_of",
    "stop_cancelled",
    "succeed",
    "sweep",
    "unsettled",
    "unwanted_zips",
    "wait",
    "warnings_of",
]
