"""Keeps a lease alive from a thread while the job works, and tells the job when to stop."""

import os
import signal
import threading
from collections.abc import Mapping
from contextvars import copy_context
from enum import Enum
from math import inf
from time import monotonic
from types import TracebackType
from typing import Any, Self

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.job import JobRow
from service.logs import get_logger

log = get_logger(__name__)


class StopReason(Enum):
    """Why a job must not go on."""

    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    TIME_LIMIT = "time_limit"


class JobStoppedError(Exception):
    """Raised in the job, out of its progress callback: nobody waits for its result any more.

    Attributes
    ----------
    reason : StopReason
    """

    def __init__(self, reason: StopReason) -> None:
        self.reason = reason
        super().__init__(reason.value)


class Heartbeat:
    """A context in which a lease is renewed.

    Parameters
    ----------
    sessions : sessionmaker
    kind : type of JobRow
    job_id, owner : str
        The job and the name under which it was claimed.
    lease_s, interval_s : float
        How far each renewal reaches, and the time between two, in seconds.
    soft_limit_s : float
        After this many seconds the job is stopped at its next report; never by default.
    hard_limit_s : float
        After this many seconds the process is killed: the job reports nothing any more. Never by default.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        kind: type[JobRow],
        *,
        job_id: str,
        owner: str,
        lease_s: float,
        interval_s: float,
        soft_limit_s: float = inf,
        hard_limit_s: float = inf,
    ) -> None:
        self._sessions = sessions
        self._kind = kind
        self._job_id = job_id
        self._owner = owner
        self._lease_s = lease_s
        self._interval_s = interval_s
        self._stop_at = monotonic() + soft_limit_s
        self._kill_at = monotonic() + hard_limit_s
        self._standing: Mapping[str, Any] = {"state": kind.RUNNING[0], **kind.UNSTARTED}
        self._stop: StopReason | None = None
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(
            # Its lines name the same request as the job's own.
            target=copy_context().run,
            args=(self._beat,),
            name="heartbeat",
            daemon=True,
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended = True
        self._wake.set()
        # A renewal on its way ends before the job's last word is written.
        self._thread.join()

    def report(self, progress: float, **standing: object) -> None:
        """Take the job's progress; called by the job itself, many times a second.

        Parameters
        ----------
        progress : float
            How much of the job is done, 0 to 1; people never see it fall.
        **standing
            Other columns of the row that tell how far it is.

        Raises
        ------
        JobStoppedError
            If the job was cancelled, lost its lease or ran out of time.
        """
        before = self._standing
        self._standing = {**before, **standing, "progress": max(before["progress"], progress)}
        if any(self._standing[name] != before.get(name) for name in ("state", *standing)):
            # People see a new stage at once; within a stage the next beat is soon enough.
            self._wake.set()
        self.check()

    def check(self) -> None:
        """Raise if the job must not go on.

        Raises
        ------
        JobStoppedError
            As in :meth:`report`.
        """
        if self._stop is not None:
            raise JobStoppedError(self._stop)
        if monotonic() > self._stop_at:
            raise JobStoppedError(StopReason.TIME_LIMIT)

    def prolong(self, seconds: float) -> None:
        """Let the job take so much longer: for work that has a limit of its own."""
        self._stop_at += seconds
        self._kill_at += seconds

    def _beat(self) -> None:
        renewed_at = monotonic()
        while True:
            self._wake.wait(self._interval_s)
            self._wake.clear()
            if self._ended:
                return
            if monotonic() > self._kill_at:
                # Killed and not terminated: in a terminated child billiard runs clean-up code of its own, and
                # a child that ends while it holds the pool's lock stops the pool. During a job it holds none.
                log.error("job_killed", job_id=self._job_id)
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                with self._sessions.begin() as session:
                    lease = jobs.renew(
                        session,
                        self._kind,
                        self._job_id,
                        owner=self._owner,
                        lease_s=self._lease_s,
                        standing=self._standing,
                    )
            except Exception as error:
                # Whatever it is: a thread that ended here would let the job work on without its lease.
                known = isinstance(error, DBAPIError)
                log.warning(
                    "heartbeat_failed",
                    job_id=self._job_id,
                    reason=type(error).__name__,
                    exc_info=not known,
                )
                if monotonic() - renewed_at > self._lease_s:
                    self._stop = StopReason.LEASE_LOST
                    return
                continue
            renewed_at = monotonic()
            if lease is not jobs.Lease.HELD:
                lost = lease is jobs.Lease.LOST
                self._stop = StopReason.LEASE_LOST if lost else StopReason.CANCELLED
                if lost:
                    return
