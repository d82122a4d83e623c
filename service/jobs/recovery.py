"""What happens to jobs whose worker or whose message was lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from service.db.base import utc_now
from service.db.rows import RUNNING, PredictionRow, PredictionState
from service.jobs.failures import JobFailure
from service.jobs.lease import NO_LEASE, OWNER_SEPARATOR

# Only the head of the queue is announced again: duplicates stay few however long the queue grows, and a job
# whose message was lost is announced by the time it gets to the head.
REPUBLISH_LIMIT = 32
# What was never announced is announced wherever it stands; twice the head, so that it always gets its share.
ANNOUNCE_LIMIT = 2 * REPUBLISH_LIMIT


@dataclass(frozen=True)
class Sweep:
    """What a sweep found.

    Attributes
    ----------
    to_publish : tuple of str
        Queued jobs to announce (again), oldest first.
    requeued, lost, cancelled : tuple of str
        Jobs without a worker: queued again, failed with their attempts used up, closed as asked.
    """

    to_publish: tuple[str, ...]
    requeued: tuple[str, ...]
    lost: tuple[str, ...]
    cancelled: tuple[str, ...]


def sweep(session: Session, *, republish_s: float) -> Sweep:
    """Requeue, close or fail jobs whose lease ran out, and list the queued ones to announce.

    Any number of processes may sweep at once: each change is conditional.

    Parameters
    ----------
    republish_s : float
        A queued job is announced again when its last announcement is this old, in seconds.
    """
    orphaned = and_(PredictionRow.state.in_(RUNNING), PredictionRow.lease_expires_at < utc_now())
    cancelled = _close(
        session,
        and_(orphaned, PredictionRow.cancel_requested.is_(True)),
        {"state": PredictionState.CANCELLED, "finished_at": utc_now()},
    )
    lost = _close(
        session,
        and_(orphaned, PredictionRow.attempts >= PredictionRow.max_attempts),
        {
            "state": PredictionState.FAILED,
            "finished_at": utc_now(),
            "error_code": JobFailure.WORKER_LOST,
            "error_message": "expected the worker to finish, found that it stopped at every attempt",
        },
    )
    requeued = _close(
        session, orphaned, {"state": PredictionState.QUEUED, "progress": 0.0, "published_at": None}
    )
    return Sweep(_to_publish(session, republish_s), requeued, lost, cancelled)


def hand_back(session: Session, *, worker: str) -> tuple[str, ...]:
    """Queue again, unharmed, whatever a worker that is told to stop still holds; the attempt does not count.

    Parameters
    ----------
    worker : str
        The worker's name; the owners of its leases are ``NAME#ATTEMPT``.
    """
    held = and_(
        PredictionRow.state.in_(RUNNING),
        PredictionRow.lease_owner.startswith(worker + OWNER_SEPARATOR, autoescape=True),
    )
    _close(
        session,
        and_(held, PredictionRow.cancel_requested.is_(True)),
        {"state": PredictionState.CANCELLED, "finished_at": utc_now()},
    )
    return _close(
        session,
        held,
        {
            "state": PredictionState.QUEUED,
            "progress": 0.0,
            "attempts": PredictionRow.attempts - 1,
            "published_at": None,
        },
    )


def mark_published(session: Session, prediction_ids: Sequence[str]) -> None:
    """Note that these queued jobs have just been announced."""
    session.execute(
        update(PredictionRow)
        .where(PredictionRow.id.in_(prediction_ids), PredictionRow.state == PredictionState.QUEUED)
        .values(published_at=utc_now()),
        execution_options={"synchronize_session": False},
    )


def _close(session: Session, condition: ColumnElement[bool], values: dict[str, Any]) -> tuple[str, ...]:
    statement = (
        update(PredictionRow).where(condition).values(**values, **NO_LEASE).returning(PredictionRow.id)
    )
    return tuple(session.scalars(statement, execution_options={"synchronize_session": False}))


def _to_publish(session: Session, republish_s: float) -> tuple[str, ...]:
    due = or_(PredictionRow.not_before.is_(None), PredictionRow.not_before <= utc_now())
    waiting = (
        select(PredictionRow.id)
        .where(PredictionRow.state == PredictionState.QUEUED, due)
        .order_by(PredictionRow.queued_at, PredictionRow.id)
    )
    # The head is cut off before anybody asks who was announced when: else each sweep took the next rows.
    head = waiting.limit(REPUBLISH_LIMIT).subquery()
    long_ago = and_(
        PredictionRow.published_at < utc_now(-republish_s), PredictionRow.id.in_(select(head.c.id))
    )
    unheard = or_(PredictionRow.published_at.is_(None), long_ago)
    return tuple(session.scalars(waiting.where(unheard).limit(ANNOUNCE_LIMIT)))
