"""One prediction: the active model on a stored scan."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from service import jobs
from service.db.rows import PredictionRow, PredictionState, ScanRow
from service.registry import CheckpointMissingError, NoActiveModelError
from service.storage import EncryptionKeyMissingError
from service.worker.heartbeat import Heartbeat
from service.worker.job import Work, Write, run_job
from service.worker.patience import entered
from service.worker.runtime import Answer, Runtime

if TYPE_CHECKING:
    from model.predictor import Predictor


def run_prediction(runtime: Runtime, prediction_id: str) -> None:
    """Claim a prediction and bring it to an end, as :func:`service.worker.job.run_job` says."""
    run_job(PREDICTION, runtime, prediction_id)


def _predict(runtime: Runtime, row: PredictionRow, owner: str, heartbeat: Heartbeat) -> Write:
    with runtime.tracing.stages() as stages:

        def report(stage: str, fraction: float) -> None:
            state = PredictionState(stage)
            stages.enter(state.value)
            heartbeat.report(jobs.overall_progress(state, fraction), state=state)

        stages.enter("fetching")
        with runtime.sessions() as session:
            scan = session.get_one(ScanRow, row.scan_id)
        model_version_id, predictor = runtime.active_model()
        answer = classify_stored(runtime, scan, predictor, progress=report, check=heartbeat.check)
    return lambda session: jobs.finish(
        session,
        row.id,
        owner=owner,
        model_version_id=model_version_id,
        result=answer.result,
        embedding=answer.embedding,
        explain=runtime.settings.explanations == "always",
    )


def classify_stored(
    runtime: Runtime,
    scan: ScanRow,
    predictor: "Predictor",
    *,
    progress: Callable[[str, float], None],
    check: Callable[[], None],
) -> Answer:
    """Fetch a stored scan and classify it.

    Parameters
    ----------
    runtime : Runtime
    scan : ScanRow
    predictor : Predictor
    progress, check : callable
        As :meth:`service.worker.runtime.Runtime.predict` takes them.
    """
    # Whoever reads it compares it with the digest in the database.
    fetched = runtime.storage.open_local(scan.storage_key, compare=False)
    with entered(fetched, check=check) as path:
        runtime.storage_answered()
        return runtime.predict(path, predictor, scan=scan, progress=progress, check=check)


PREDICTION = Work(
    kind=PredictionRow,
    name="prediction",
    do=_predict,
    awaited=(NoActiveModelError, CheckpointMissingError, EncryptionKeyMissingError),
    out_of_reach="expected the service's own storage to answer, found it away",
    limited=True,
)
