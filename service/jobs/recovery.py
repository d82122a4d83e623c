"""What happens to jobs whose worker or whose message was lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from service.db.base import utc_now
from service.db.job import JobRow, JobState
from service.jobs.failures import JobFailure
from service.jobs.lease import NO_LEASE, OWNER_SEPARATOR
from service.jobs.training_log import note_failure

# Only the head of the queue is announced again: duplicates stay few however long the queue grows, and a job
# whose message was lost is announced by the time it gets to the head.
REPUBLISH_LIMIT = 32
# What was never announced is announced wherever it stands; twice the head, so that it always gets its share.
ANNOUNCE_LIMIT = 2 * REPUBLISH_LIMIT


@dataclass(frozen=True)
class Sweep:
    """What a sweep found of one kind of job.

    Attributes
    ----------
    to_publish : tuple of str
        Queued jobs that nobody heard of, oldest first.
    to_repeat : tuple of str
        Jobs at the head of the queue that were announced long ago. Their messages are lost, or wait in the
        broker for a worker: who knows how many wait there can tell (``n_due``).
    requeued, lost, cancelled : tuple of str
        Jobs without a worker: queued again, failed with their attempts used up, closed as asked.
    n_due : int
        How many jobs wait for a worker.
    """

    to_publish: tuple[str, ...] = ()
    to_repeat: tuple[str, ...] = ()
    requeued: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()
    n_due: int = 0


def sweep(session: Session, kind: type[JobRow], *, republish_s: float, lane: str | None = None) -> Sweep:
    """Requeue, close or fail jobs whose lease ran out, and list the queued ones to announce.

    Any number of processes may sweep at once: each change is conditional.

    Parameters
    ----------
    kind : type of JobRow
    republish_s : float
        An announcement is long ago when it is this old, in seconds.
    lane : str, optional
        Of a kind whose jobs wait in several queues, the one to look after.
    """
    here = kind.in_lane(lane)
    orphaned = and_(kind.state.in_(kind.RUNNING), kind.lease_expires_at < utc_now(), here)
    cancelled = _close(
        session,
        kind,
        and_(orphaned, kind.cancel_requested.is_(True)),
        {"state": JobState.CANCELLED, "finished_at": utc_now()},
    )
    lost = _close(
        session,
        kind,
        and_(orphaned, kind.attempts >= kind.max_attempts),
        {
            "state": JobState.FAILED,
            "finished_at": utc_now(),
            "error_code": JobFailure.WORKER_LOST,
            "error_message": "expected the worker to finish, found that it stopped at every attempt",
        },
    )
    for job_id in lost:
        note_failure(session, session.get_one(kind, job_id, populate_existing=True))
    requeued = _close(session, kind, orphaned, _queued_again(kind))
    in_time = or_(kind.not_before.is_(None), kind.not_before <= utc_now())
    due = and_(kind.state == JobState.QUEUED, in_time, here)
    return Sweep(
        to_publish=_unheard(session, kind, due),
        to_repeat=_unanswered(session, kind, due, republish_s),
        requeued=requeued,
        lost=lost,
        cancelled=cancelled,
        n_due=session.execute(select(func.count(kind.id)).where(due)).scalar_one(),
    )


def hand_back(session: Session, kind: type[JobRow], *, worker: str) -> tuple[str, ...]:
    """Queue again, unharmed, whatever a worker that is told to stop still holds; the attempt does not count.

    Parameters
    ----------
    kind : type of JobRow
    worker : str
        The worker's name; the owners of its leases are ``NAME#ATTEMPT``.
    """
    held = and_(
        kind.state.in_(kind.RUNNING),
        kind.lease_owner.startswith(worker + OWNER_SEPARATOR, autoescape=True),
    )
    _close(
        session,
        kind,
        and_(held, kind.cancel_requested.is_(True)),
        {"state": JobState.CANCELLED, "finished_at": utc_now()},
    )
    return _close(session, kind, held, {**_queued_again(kind), "attempts": kind.attempts - 1})


def mark_published(session: Session, kind: type[JobRow], job_ids: Sequence[str]) -> None:
    """Note that these queued jobs have just been announced."""
    session.execute(
        update(kind)
        .where(kind.id.in_(job_ids), kind.state == JobState.QUEUED)
        .values(published_at=utc_now()),
        execution_options={"synchronize_session": False},
    )


def _queued_again(kind: type[JobRow]) -> dict[str, Any]:
    return {**kind.UNSTARTED, "state": JobState.QUEUED, "published_at": None}


def _close(
    session: Session, kind: type[JobRow], condition: ColumnElement[bool], values: Mapping[str, Any]
) -> tuple[str, ...]:
    statement = update(kind).where(condition).values(**values, **NO_LEASE).returning(kind.id)
    return tuple(session.scalars(statement, execution_options={"synchronize_session": False}))


def _unheard(session: Session, kind: type[JobRow], due: ColumnElement[bool]) -> tuple[str, ...]:
    waiting = select(kind.id).where(due, kind.published_at.is_(None)).order_by(kind.queued_at, kind.id)
    return tuple(session.scalars(waiting.limit(ANNOUNCE_LIMIT)))


def _unanswered(
    session: Session, kind: type[JobRow], due: ColumnElement[bool], republish_s: float
) -> tuple[str, ...]:
    waiting = select(kind.id).where(due).order_by(kind.queued_at, kind.id)
    # The head is cut off before anybody asks who was announced when: else each sweep took the next rows.
    head = waiting.limit(REPUBLISH_LIMIT).subquery()
    long_ago = and_(kind.published_at < utc_now(-republish_s), kind.id.in_(select(head.c.id)))
    return tuple(session.scalars(waiting.where(long_ago)))
