"""One job of any kind, from the claim to its last word."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from time import sleep
from typing import Any, Generic
from uuid import uuid4

from opentelemetry.trace import SpanKind
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from imaging.errors import ScanError
from model.errors import ModelError
from service import jobs
from service.correlation import correlated
from service.enclosure import EnclosureUnavailableError
from service.errors import ServiceError, as_json
from service.jobs.change import Job
from service.logs import get_logger
from service.settings import Settings
from service.storage import StorageUnavailableError
from service.worker.heartbeat import Heartbeat, JobStoppedError, StopReason
from service.worker.runtime import Runtime
from training.errors import CohortError

WRITE_ATTEMPTS = 5
WRITE_PAUSE_S = 0.2
# How often a job looks whether what it waits for is there by now, in seconds.
WAIT_S = 10.0

log = get_logger(__name__)

# Writes a job's outcome in the caller's transaction; False when the lease is lost or the job not wanted.
Write = Callable[[Session], bool]


@dataclass(frozen=True, kw_only=True)
class Work(Generic[Job]):
    """What a worker has to know of one kind of job.

    Attributes
    ----------
    kind : type of JobRow
    name : str
        In the log: ``NAME_started``, ``NAME_id``.
    do : callable
        ``do(runtime, row, owner, heartbeat)``: the work itself, which reports to the heartbeat and returns
        what writes its outcome.
    awaited : tuple of exception classes
        Raised where others must provide something: the job waits for it, and no attempt counts.
    out_of_reach : str
        What an ``OSError`` of this work means, for people.
    limited : bool
        Whether the settings' time limits are for this work.
    lane : str, optional
        Of a kind whose jobs wait in several queues, the one that this work is of.
    refused : callable, optional
        ``refused(session, row)``: what a refusal changes beside the job, in the same transaction.
    """

    kind: type[Job]
    name: str
    do: Callable[[Runtime, Job, str, Heartbeat], Write]
    awaited: tuple[type[Any], ...]
    out_of_reach: str
    limited: bool
    lane: str | None = None
    refused: Callable[[Session, Job], None] | None = None


def run_job(work: Work[Job], runtime: Runtime, job_id: str) -> None:
    """Claim a job and bring it to an end; a duplicate message ends at the claim.

    Refusals of what the job is about end it, also by a file that brought its reader down; errors of storage,
    the database or the system postpone it; what is awaited, and a storage that is away as a whole, let it
    wait, and no attempt counts; anything else ends it with ``internal_error`` and a reference to the
    traceback in the log. What makes the process exit is let through, and the lease runs out: a job that had
    to be killed must not get its attempt back.
    """
    owner = f"{runtime.worker}{jobs.OWNER_SEPARATOR}{uuid4().hex[:12]}"
    bound = log.bind(**{f"{work.name}_id": job_id})
    with runtime.sessions.begin() as session:
        row = jobs.claim(
            session, work.kind, job_id, owner=owner, lease_s=runtime.settings.lease_s, lane=work.lane
        )
    if row is None:
        bound.info(f"{work.name}_skipped")
        return
    bound = bound.bind(attempt=row.attempts)
    with (
        correlated(row.request_id),
        runtime.tracing.span(
            work.name, kind=SpanKind.CONSUMER, parent=row.traceparent, job_id=row.id, attempt=row.attempts
        ) as span,
    ):
        bound.info(f"{work.name}_started")
        state = _bring_to_an_end(work, runtime, row, owner, bound)
        span.set_attribute("restnet.outcome", state)
        bound.info(f"{work.name}_ended", outcome=state)


def _bring_to_an_end(work: Work[Job], runtime: Runtime, row: Job, owner: str, bound: Any) -> str:
    ending = _Ending(work, runtime, row, owner)
    try:
        state = _work(work, runtime, row, owner, ending)
    except JobStoppedError as stop:
        state = ending.stop(stop.reason)
    except work.awaited as lack:
        bound.warning(f"{work.name}_waits", code=lack.code)
        state = ending.wait(lack, wait_s=WAIT_S)
    except StorageUnavailableError as outage:
        bound.warning(f"{work.name}_postponed", reason=type(outage).__name__, found=outage.found)
        state = _after_outage(runtime, ending, outage)
    except EnclosureUnavailableError as lack:
        bound.warning(f"{work.name}_postponed", code=lack.code)
        state = ending.postpone(lack.code, str(lack))
    except (ScanError, ModelError, CohortError, ServiceError) as refusal:
        state = ending.refuse(refusal)
    except DBAPIError as error:
        bound.warning(f"{work.name}_postponed", reason=type(error).__name__, exc_info=error)
        message = "expected the service's own database to answer, found it away"
        state = ending.postpone(jobs.JobFailure.DATABASE_UNAVAILABLE, message)
    except OSError as error:
        # Without its traceback, which names the file.
        bound.warning(f"{work.name}_postponed", reason=type(error).__name__, found=error.strerror)
        state = ending.postpone(jobs.JobFailure.STORAGE_UNAVAILABLE, work.out_of_reach)
    except Exception:  # noqa: BLE001  (whatever it is, the user gets a reference and the log the traceback)
        reference = uuid4().hex[:12]
        bound.exception(f"{work.name}_error", reference=reference)
        state = ending.fail_internally(reference)
    return state


def _after_outage(runtime: Runtime, ending: "_Ending", outage: StorageUnavailableError) -> str:
    """Wait for a storage that is away, without an end; where it is this file alone, attempts are counted."""
    try:
        runtime.storage.probe()
    except StorageUnavailableError:
        return ending.wait(outage, wait_s=runtime.outage_pause_s())
    return ending.postpone(outage.code, str(outage))


def write_outcome(sessions: sessionmaker[Session], act: Write) -> bool:
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


def _work(work: Work[Job], runtime: Runtime, row: Job, owner: str, ending: "_Ending") -> str:
    settings = runtime.settings
    heartbeat = Heartbeat(
        runtime.sessions,
        work.kind,
        job_id=row.id,
        owner=owner,
        lease_s=settings.lease_s,
        interval_s=settings.heartbeat_s,
        soft_limit_s=settings.soft_time_limit_s if work.limited else inf,
        hard_limit_s=settings.hard_time_limit_s if work.limited else inf,
    )
    with heartbeat:
        write = work.do(runtime, row, owner, heartbeat)
        heartbeat.check()
        written = write_outcome(runtime.sessions, write)
    # Cancelled between the last look and the outcome, or no longer ours.
    return "succeeded" if written else ending.stop(StopReason.CANCELLED)


class _Ending:
    """The ways in which a claimed job ends other than well; each says in a word what became of it."""

    def __init__(self, work: Work[Any], runtime: Runtime, row: Any, owner: str) -> None:
        self._sessions = runtime.sessions
        self._settings: Settings = runtime.settings
        self._work = work
        self._row = row
        self._job = (work.kind, row.id)
        self._owner = owner

    def stop(self, reason: StopReason) -> str:
        def act(session: Session) -> bool:
            match reason:
                case StopReason.CANCELLED:
                    return jobs.stop_cancelled(session, *self._job, owner=self._owner)
                case StopReason.TIME_LIMIT:
                    limit_s = self._settings.soft_time_limit_s
                    return jobs.fail(
                        session,
                        *self._job,
                        owner=self._owner,
                        code=jobs.JobFailure.TIME_LIMIT,
                        message=f"expected an answer within {limit_s:g} s, found the work still going on",
                        details={"limit_s": limit_s},
                    )
                case StopReason.LEASE_LOST:
                    return False

        return reason.value if write_outcome(self._sessions, act) else "lease_lost"

    def wait(self, lack: Any, *, wait_s: float) -> str:
        words = {"code": lack.code, "message": str(lack), "wait_s": wait_s}
        write_outcome(
            self._sessions, lambda session: jobs.wait(session, *self._job, owner=self._owner, **words)
        )
        return str(lack.code)

    def refuse(self, refusal: ScanError | ModelError | CohortError | ServiceError) -> str:
        def also(session: Session) -> None:
            if self._work.refused is not None:
                self._work.refused(session, self._row)

        return self._fail(refusal.code, str(refusal), also=also, details=as_json(refusal.details()))

    def postpone(self, code: str, message: str) -> str:
        write_outcome(
            self._sessions,
            lambda session: jobs.postpone(
                session,
                *self._job,
                owner=self._owner,
                code=code,
                message=message,
                backoff_s=self._settings.backoff_s,
            ),
        )
        return code

    def fail_internally(self, reference: str) -> str:
        message = f"expected an answer, found a fault of ours: please report the reference {reference}"
        return self._fail(jobs.JobFailure.INTERNAL_ERROR, message, reference=reference)

    def _fail(
        self, code: str, message: str, *, also: Callable[[Session], None] | None = None, **more: Any
    ) -> str:
        def act(session: Session) -> bool:
            failed = jobs.fail(session, *self._job, owner=self._owner, code=code, message=message, **more)
            if failed and also is not None:
                also(session)
            return failed

        write_outcome(self._sessions, act)
        return code
