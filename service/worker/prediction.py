"""One prediction, from the claim to the result."""

from collections.abc import Callable
from time import sleep
from uuid import uuid4

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from imaging.errors import ScanError
from model.errors import ModelError
from service import jobs
from service.db.rows import PredictionRow, ScanRow
from service.errors import ServiceError, as_json
from service.logs import get_logger
from service.worker.heartbeat import Heartbeat, JobStoppedError, StopReason
from service.worker.runtime import ModelAwaitedError, Runtime

WRITE_ATTEMPTS = 5
WRITE_PAUSE_S = 0.2
# How often a job looks whether there is a model by now, in seconds.
MODEL_WAIT_S = 10.0

log = get_logger(__name__)


def run_prediction(runtime: Runtime, prediction_id: str) -> None:
    """Claim a job and bring it to an end; a duplicate message ends at the claim.

    Errors of the scan or the model end the job; errors of storage or the database postpone it; without a
    model it waits for one, and no attempt counts; anything else ends it with ``internal_error`` and a
    reference to the traceback in the log. What makes the process exit is let through, and the lease runs out:
    a job that had to be killed must not get its attempt back.
    """
    owner = f"{runtime.worker}{jobs.OWNER_SEPARATOR}{uuid4().hex[:12]}"
    claimed = _claim(runtime, prediction_id, owner)
    if claimed is None:
        log.info("prediction_skipped", prediction_id=prediction_id)
        return
    row, scan = claimed
    bound = log.bind(prediction_id=prediction_id, attempt=row.attempts)
    bound.info("prediction_started")
    try:
        state = _work(runtime, row, scan, owner)
    except JobStoppedError as stop:
        state = _stop(runtime, prediction_id, owner, stop.reason)
    except ModelAwaitedError as lack:
        state = _wait(runtime, prediction_id, owner, lack)
    except (ScanError, ModelError, ServiceError) as refusal:
        state = _refuse(runtime, prediction_id, owner, refusal)
    except DBAPIError as error:
        state = _postpone(runtime, prediction_id, owner, jobs.JobFailure.DATABASE_UNAVAILABLE, error)
    except OSError as error:
        state = _postpone(runtime, prediction_id, owner, jobs.JobFailure.STORAGE_UNAVAILABLE, error)
    except Exception:  # noqa: BLE001  (whatever it is, the user gets a reference and the log the traceback)
        reference = uuid4().hex[:12]
        bound.exception("prediction_error", reference=reference)
        state = _fail_internally(runtime, prediction_id, owner, reference)
    bound.info("prediction_ended", outcome=state)


def write_outcome(sessions: sessionmaker[Session], act: Callable[[Session], bool]) -> bool:
    """Write a job's last word in one transaction, again when the database was away for a moment.

    Returns
    -------
    bool
        Whether it was written: False when the lease was lost, or when the database stays away: then the lease
        runs out and the sweep queues the job again.
    """
    for attempt in range(WRITE_ATTEMPTS):
        try:
            with sessions.begin() as session:
                return act(session)
        except OperationalError as error:
            log.warning("outcome_not_written", reason=type(error).__name__, attempt=attempt + 1)
            sleep(WRITE_PAUSE_S * 2**attempt)
    return False


def _claim(runtime: Runtime, prediction_id: str, owner: str) -> tuple[PredictionRow, ScanRow] | None:
    with runtime.sessions.begin() as session:
        row = jobs.claim(session, prediction_id, owner=owner, lease_s=runtime.settings.lease_s)
        if row is None:
            return None
        scan = session.get_one(ScanRow, row.scan_id)
    return row, scan


def _work(runtime: Runtime, row: PredictionRow, scan: ScanRow, owner: str) -> str:
    settings = runtime.settings
    heartbeat = Heartbeat(
        runtime.sessions,
        prediction_id=row.id,
        owner=owner,
        lease_s=settings.lease_s,
        interval_s=settings.heartbeat_s,
        soft_limit_s=settings.soft_time_limit_s,
        hard_limit_s=settings.hard_time_limit_s,
    )
    with heartbeat:
        model_version_id, predictor = runtime.active_model()
        with runtime.storage.open_local(scan.storage_key) as path:
            result = runtime.predict(
                path, predictor, display_name=scan.display_name, progress=heartbeat.report
            )
        heartbeat.check()
        written = write_outcome(
            runtime.sessions,
            lambda session: jobs.finish(
                session, row.id, owner=owner, model_version_id=model_version_id, result=result
            ),
        )
    if written:
        return "succeeded"
    # Cancelled between the last look and the result, or no longer ours.
    return _stop(runtime, row.id, owner, StopReason.CANCELLED)


def _stop(runtime: Runtime, prediction_id: str, owner: str, reason: StopReason) -> str:
    def act(session: Session) -> bool:
        match reason:
            case StopReason.CANCELLED:
                return jobs.stop_cancelled(session, prediction_id, owner=owner)
            case StopReason.TIME_LIMIT:
                limit_s = runtime.settings.soft_time_limit_s
                message = f"expected an answer within {limit_s:g} s, found the work still going on"
                return jobs.fail(
                    session,
                    prediction_id,
                    owner=owner,
                    code=jobs.JobFailure.TIME_LIMIT,
                    message=message,
                    details={"limit_s": limit_s},
                )
            case StopReason.LEASE_LOST:
                return False

    return reason.value if write_outcome(runtime.sessions, act) else "lease_lost"


def _refuse(
    runtime: Runtime, prediction_id: str, owner: str, refusal: ScanError | ModelError | ServiceError
) -> str:
    write_outcome(
        runtime.sessions,
        lambda session: jobs.fail(
            session,
            prediction_id,
            owner=owner,
            code=refusal.code,
            message=str(refusal),
            details=as_json(refusal.details()),
        ),
    )
    return refusal.code


def _postpone(runtime: Runtime, prediction_id: str, owner: str, code: str, error: Exception) -> str:
    log.warning("prediction_postponed", prediction_id=prediction_id, code=code, exc_info=error)
    message = "expected the service's own storage and database to answer, found one of them away"
    write_outcome(
        runtime.sessions,
        lambda session: jobs.postpone(
            session,
            prediction_id,
            owner=owner,
            code=code,
            message=message,
            backoff_s=runtime.settings.backoff_s,
        ),
    )
    return code


def _wait(runtime: Runtime, prediction_id: str, owner: str, lack: ModelAwaitedError) -> str:
    log.warning("prediction_waits", prediction_id=prediction_id, code=lack.code)
    write_outcome(
        runtime.sessions,
        lambda session: jobs.wait(
            session, prediction_id, owner=owner, code=lack.code, message=str(lack), wait_s=MODEL_WAIT_S
        ),
    )
    return lack.code


def _fail_internally(runtime: Runtime, prediction_id: str, owner: str, reference: str) -> str:
    write_outcome(
        runtime.sessions,
        lambda session: jobs.fail(
            session,
            prediction_id,
            owner=owner,
            code=jobs.JobFailure.INTERNAL_ERROR,
            message=f"expected an answer, found a fault of ours: please report the reference {reference}",
            reference=reference,
        ),
    )
    return jobs.JobFailure.INTERNAL_ERROR
