"""How many wait before a job, and about how long it will wait."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from service.db.job import JobRow, JobState
from service.db.restricted import COUNTS_EVERY_ORGANISATION
from service.db.rows import PredictionRow
from service.jobs.change import Job
from service.presence import attendance

# Predictions that finished last and tell how long the next ones take.
_LOOKED_BACK = 20
_EVERYBODY: dict[str, Any] = {COUNTS_EVERY_ORGANISATION: True}


def queue_position(session: Session, row: JobRow) -> int | None:
    """Return the place in its kind's queue, 1 for the next one to run; None when it does not wait.

    All organisations wait in one line: a place among one's own would promise what nobody keeps. It tells how
    many others wait, and nothing about whom.
    """
    if row.state != JobState.QUEUED:
        return None
    kind = type(row)
    earlier = or_(
        kind.queued_at < row.queued_at,
        and_(kind.queued_at == row.queued_at, kind.id < row.id),
    )
    ahead = select(func.count(kind.id)).where(kind.state == JobState.QUEUED, _same_queue(row), earlier)
    return session.execute(ahead, execution_options=_EVERYBODY).scalar_one() + 1


def queue_positions(session: Session, rows: Sequence[Job]) -> dict[str, int]:
    """Return the places of those rows of one kind that wait, by id: :func:`queue_position` in one query."""
    waiting = [row for row in rows if row.state == JobState.QUEUED]
    if not waiting:
        return {}
    kind = type(waiting[0])
    in_order = func.row_number().over(partition_by=_queues(kind), order_by=(kind.queued_at, kind.id))
    place = in_order.label("place")
    queue = select(kind.id, place).where(kind.state == JobState.QUEUED).subquery()
    asked = select(queue.c.id, queue.c.place).where(queue.c.id.in_([row.id for row in waiting]))
    return {id_: int(at) for id_, at in session.execute(asked, execution_options=_EVERYBODY)}


def _same_queue(row: JobRow) -> ColumnElement[bool]:
    return type(row).in_lane(row.lane if isinstance(row, PredictionRow) else None)


def _queues(kind: type[JobRow]) -> list[ColumnElement[Any]]:
    return [kind.lane.expression] if issubclass(kind, PredictionRow) else []


def pace_s(session: Session) -> float | None:
    """Return the seconds from one prediction's start to the next, by what the workers did lately.

    Returns
    -------
    float or None
        The median time of the predictions that succeeded last, whoever's they were, divided by the workers
        that are there; None where no worker is, or nothing has been predicted yet.
    """
    served = attendance(session).get("inference")
    if served is None or not served.present:
        return None
    latest = (
        select(PredictionRow.started_at, PredictionRow.finished_at)
        .where(PredictionRow.state == JobState.SUCCEEDED)
        .order_by(PredictionRow.finished_at.desc())
        .limit(_LOOKED_BACK)
    )
    took_s = [
        (finished - started).total_seconds()
        for started, finished in session.execute(latest, execution_options=_EVERYBODY)
        if started and finished
    ]
    return median(took_s) / served.present if took_s else None
