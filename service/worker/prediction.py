"""One prediction: the active model on a stored scan."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from imaging import NotInTemplateSpaceError, ScanError
from imaging.native.preparing import may_be_normalised
from service import jobs
from service.db.rows import Lane, NormalisedScanRow, PredictionRow, PredictionState, ScanRow
from service.logs import get_logger
from service.registry import CheckpointMissingError, NoActiveModelError
from service.storage import EncryptionKeyMissingError
from service.worker.heartbeat import Heartbeat
from service.worker.job import Work, Write, run_job
from service.worker.kept_scans import LOST, fetched_to_read, kept_of, lies_elsewhere
from service.worker.runtime import Answer, Runtime

if TYPE_CHECKING:
    from model.predictor import Predictor

_MADE_LATELY = timedelta(minutes=1)

log = get_logger(__name__)


def run_prediction(runtime: Runtime, prediction_id: str) -> None:
    """Claim a prediction and bring it to an end, as :func:`service.worker.job.run_job` says."""
    run_job(PREDICTION, runtime, prediction_id)


def _predict(runtime: Runtime, row: PredictionRow, owner: str, heartbeat: Heartbeat) -> Write:
    with runtime.tracing.stages() as stages:

        def report(stage: str, fraction: float) -> None:
            state = PredictionState(stage)
            stages.enter(state.value)
            progress = jobs.overall_progress(state, fraction, normalised=kept is not None)
            heartbeat.report(progress, state=state)

        stages.enter("fetching")
        with runtime.sessions() as session:
            scan = session.get_one(ScanRow, row.scan_id)
            kept = kept_of(session, row.scan_id)
            native = lies_elsewhere(session, scan)
        if kept is not None:
            # Most of the work is done: people are not to see it begin again.
            heartbeat.report(jobs.overall_progress(PredictionState.PREPROCESSING, 0.0, normalised=True))
        elif native:
            return lambda session: jobs.send_to_normalising(session, row.id, owner=owner)
        model_version_id, predictor = runtime.active_model()
        try:
            answer = classify_stored(
                runtime, scan, predictor, kept=kept, progress=report, check=heartbeat.check
            )
        except ScanError as refusal:
            if kept is None and _may_be_normalised(refusal):
                return lambda session: jobs.send_to_normalising(session, row.id, owner=owner)
            raise
        except LOST as loss:
            if kept is None or _just_made(kept):
                raise
            log.warning("normalised_file_lost", scan_id=scan.id, code=loss.code)
            return lambda session: jobs.normalise_again(session, row.id, owner=owner)
    return lambda session: jobs.finish(
        session,
        row.id,
        owner=owner,
        model_version_id=model_version_id,
        result=answer.result,
        embedding=answer.embedding,
        explain=runtime.settings.explanations == "always",
    )


def _just_made(kept: NormalisedScanRow) -> bool:
    """Whether a file was made so lately that another one would be lost as this one."""
    return kept.finished_at is not None and datetime.now(UTC) - kept.finished_at < _MADE_LATELY


def _may_be_normalised(refusal: ScanError) -> bool:
    if refusal.code != NotInTemplateSpaceError.code:
        return False
    scores = refusal.details()
    return may_be_normalised(fit=float(str(scores["fit"])), flip_gain=float(str(scores["flip_gain"])))


def classify_stored(
    runtime: Runtime,
    scan: ScanRow,
    predictor: "Predictor",
    *,
    kept: NormalisedScanRow | None,
    progress: Callable[[str, float], None],
    check: Callable[[], None],
) -> Answer:
    """Fetch a stored scan and classify it.

    Parameters
    ----------
    runtime : Runtime
    scan : ScanRow
    predictor : Predictor
    kept : NormalisedScanRow or None
        The scan in template space, which is read instead where there is one.
    progress, check : callable
        As :meth:`service.worker.runtime.Runtime.predict` takes them.
    """
    with fetched_to_read(runtime.storage, scan, kept, check=check) as path:
        runtime.storage_answered()
        return runtime.predict(path, predictor, scan=scan, kept=kept, progress=progress, check=check)


PREDICTION = Work(
    kind=PredictionRow,
    name="prediction",
    do=_predict,
    awaited=(NoActiveModelError, CheckpointMissingError, EncryptionKeyMissingError),
    out_of_reach="expected the service's own storage to answer, found it away",
    limited=True,
    lane=Lane.INFERENCE,
)
