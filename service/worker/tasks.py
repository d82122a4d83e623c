"""The Celery tasks, and the state of the process that runs them. Names are fixed; messages carry ids only."""

from celery import current_app, shared_task
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown
from sqlalchemy.exc import DBAPIError

from model.errors import ModelError
from service import jobs, logs
from service.db.rows import (
    ExplanationRow,
    ExplanationState,
    Lane,
    PredictionRow,
    PredictionState,
    TrainingFoldRow,
)
from service.errors import ServiceError
from service.queue import (
    DRIFT_REFERENCE,
    EVALUATION_RUN,
    EXPLANATION_RUN,
    MAINTENANCE_SWEEP,
    NORMALISING_RUN,
    PREDICTION_RUN,
    SCORE_RUN,
    TRAINING_FOLD,
    TRAINING_RUN,
    announce,
)
from service.settings import Settings
from service.worker.runtime import Runtime, open_runtime
from service.worker.sweeper import sweep_all

log = logs.get_logger(__name__)

# One a process, made by the first use: a spawned child starts from nothing.
_runtime: Runtime | None = None


def process_runtime() -> Runtime:
    """Return this process's runtime, opened at the first call; a spawned child inherits the environment."""
    global _runtime  # noqa: PLW0603  (Celery gives a task nowhere else to keep its process's state)
    if _runtime is None:
        _runtime = open_runtime(Settings())
    return _runtime


@setup_logging.connect  # type: ignore[untyped-decorator]  # Celery's
def configure_logs(**_kwargs: object) -> None:
    """Write log lines in our form, in the worker and in its children."""
    settings = Settings()
    logs.configure(log_format=settings.log_format, log_level=settings.log_level)


@worker_process_init.connect  # type: ignore[untyped-decorator]
def prepare_process(sender: str, **_kwargs: object) -> None:
    """Load the model before the first job, in the child that will run it; ``sender`` is its worker's name."""
    runtime = process_runtime()
    runtime.worker = sender
    if sender.startswith("normalising-"):
        runtime.normaliser.start()
    if not sender.startswith("inference-"):
        # It explains now and then, trains or tidies up, and needs the memory for that.
        return
    runtime.enclosure.start()
    try:
        runtime.active_model()
    except (ServiceError, ModelError) as refusal:
        # A job says so on its row; until one comes, there is nothing to fail.
        log.warning("model_not_loaded", code=refusal.code)
    except (DBAPIError, OSError) as error:
        log.warning("model_not_loaded", reason=type(error).__name__)


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def send_last_spans(**_kwargs: object) -> None:
    """Send what the traces still lack before the child ends."""
    if _runtime is not None:
        _runtime.tracing.close()


@shared_task(name=PREDICTION_RUN)  # type: ignore[untyped-decorator]
def run(prediction_id: str) -> None:
    """Run one prediction."""
    # The worker's parent registers this task and never runs it: it stays free of scipy and nibabel.
    from service.worker.prediction import run_prediction  # noqa: PLC0415
    from service.worker.score_rounds import queue_shadow  # noqa: PLC0415

    runtime = process_runtime()
    run_prediction(runtime, prediction_id)
    _announce_lane(runtime, prediction_id, Lane.NORMALISING)
    _announce_explanation(runtime, prediction_id)
    queue_shadow(current_app, runtime.sessions, prediction_id)


@shared_task(name=NORMALISING_RUN)  # type: ignore[untyped-decorator]
def normalise(prediction_id: str) -> None:
    """Bring the scan of one prediction into template space, and let the prediction go on."""
    from service.worker.normalising import run_normalising  # noqa: PLC0415

    runtime = process_runtime()
    run_normalising(runtime, prediction_id)
    _announce_lane(runtime, prediction_id, Lane.INFERENCE)


@shared_task(name=EXPLANATION_RUN)  # type: ignore[untyped-decorator]
def explain(explanation_id: str) -> None:
    """Explain one prediction."""
    from service.worker.explanation import run_explanation  # noqa: PLC0415

    run_explanation(process_runtime(), explanation_id)


@shared_task(name=EVALUATION_RUN)  # type: ignore[untyped-decorator]
def evaluate(evaluation_id: str) -> None:
    """Set one challenger beside the champion."""
    from service.worker.evaluation import run_evaluation  # noqa: PLC0415

    run_evaluation(process_runtime(), evaluation_id)


@shared_task(name=SCORE_RUN)  # type: ignore[untyped-decorator]
def score(score_id: str) -> None:
    """Score one scan, and queue what its batch has next."""
    from service.worker.score import run_score  # noqa: PLC0415
    from service.worker.score_rounds import go_on  # noqa: PLC0415

    runtime = process_runtime()
    run_score(runtime, score_id)
    go_on(current_app, runtime.sessions, score_id)


@shared_task(name=TRAINING_FOLD)  # type: ignore[untyped-decorator]
def train(fold_id: str) -> None:
    """Train one fold, and move its run on where it was the last."""
    from service.worker.fold import run_fold  # noqa: PLC0415
    from service.worker.training_run import settle_run  # noqa: PLC0415

    runtime = process_runtime()
    run_fold(runtime, fold_id)
    try:
        with runtime.sessions() as session:
            fold = session.get(TrainingFoldRow, fold_id)
        if fold is not None:
            settle_run(current_app, runtime, fold.run_id)
    except DBAPIError as error:
        # The sweep looks after it too.
        log.warning("run_not_settled", reason=type(error).__name__)


@shared_task(name=TRAINING_RUN)  # type: ignore[untyped-decorator]
def advance(run_id: str) -> None:
    """Plan one training run, or finish it; a challenger that it has made is compared next."""
    from service.worker.evaluation import announce_evaluations  # noqa: PLC0415
    from service.worker.training_run import announce_folds, run_training  # noqa: PLC0415

    runtime = process_runtime()
    run_training(runtime, run_id)
    try:
        announce_folds(current_app, runtime, run_id)
        announce_evaluations(current_app, runtime)
    except DBAPIError as error:
        # What nobody was told of is left to the sweep.
        log.warning("jobs_not_announced", reason=type(error).__name__)


@shared_task(name=DRIFT_REFERENCE)  # type: ignore[untyped-decorator]
def measure(reference_id: str) -> None:
    """Measure a cohort by a model version."""
    from service.worker.reference import run_reference  # noqa: PLC0415

    run_reference(process_runtime(), reference_id)


def _announce_lane(runtime: Runtime, prediction_id: str, lane: Lane) -> None:
    """Announce a prediction that waits in another queue now; what fails here is left to the sweep."""
    try:
        with runtime.sessions() as session:
            row = session.get(PredictionRow, prediction_id)
    except DBAPIError as error:
        log.warning("prediction_not_announced", reason=type(error).__name__)
        return
    waits = row is not None and row.state == PredictionState.QUEUED and row.lane == lane
    if row is not None and waits and row.published_at is None and row.not_before is None:
        announce(current_app, runtime.sessions, PredictionRow, prediction_id, lane=lane)


def _announce_explanation(runtime: Runtime, prediction_id: str) -> None:
    """Announce what the prediction queued with its result; what fails here is left to the sweep."""
    try:
        with runtime.sessions() as session:
            row = jobs.explanation_of(session, prediction_id)
    except DBAPIError as error:
        log.warning("explanation_not_announced", reason=type(error).__name__)
        return
    if row is not None and row.state == ExplanationState.QUEUED and row.published_at is None:
        announce(current_app, runtime.sessions, ExplanationRow, row.id)


@shared_task(name=MAINTENANCE_SWEEP)  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Sweep once, for operators who schedule it themselves."""
    runtime = process_runtime()
    sweep_all(current_app, runtime.sessions, republish_s=runtime.settings.republish_s)
