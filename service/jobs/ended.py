"""Follows the jobs that end, on whatever worker: each is told of once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from service.db.base import utc_now
from service.db.job import JobRow

# A transaction may become visible this long after the moment that it wrote down.
OVERLAP = timedelta(seconds=60)
# Ended jobs a query, and new ones a look: after a long silence the next looks catch up.
PAGE = 2000
NEW = 20_000

# Only predictions have these.
_OF_SOME_KINDS = ("timing", "model_version_id")


@dataclass(frozen=True)
class EndedJob:
    """A job that ended: what is asked of its row.

    Attributes
    ----------
    timing : dict
        Milliseconds by stage; empty where the kind has no stages, or the job did not succeed.
    """

    id: str
    state: str
    code: str
    attempts: int
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime
    timing: dict[str, float]
    model_version_id: str | None


class EndedJobs:
    """Reads the jobs of one kind that ended since the last look.

    Parameters
    ----------
    kind : type of JobRow
    """

    def __init__(self, kind: type[JobRow]) -> None:
        self._kind = kind
        self._read_to: datetime | None = None
        # What the part that is read again held at the last look.
        self._told: set[tuple[str, datetime]] = set()

    def look(self, session: Session, *, first_s: float) -> Iterator[EndedJob]:
        """Yield what ended since the last look, oldest first.

        Parameters
        ----------
        first_s : float
            How far back the first look goes, in seconds.
        """
        if self._read_to is None:
            self._read_to = session.execute(select(utc_now(-first_s))).scalar_one()
            begin = (self._read_to, "")
        else:
            begin = (self._read_to - OVERLAP, "")
        told: set[tuple[str, datetime]] = set()
        rows: Sequence[Any] | None = None
        while rows is None or (len(rows) == PAGE and len(told - self._told) < NEW):
            rows = self._ended_after(session, *begin)
            for row in rows:
                mark = (row.id, row.finished_at)
                told.add(mark)
                if mark not in self._told:
                    yield _ended(row)
            if rows:
                begin = (rows[-1].finished_at, rows[-1].id)
        self._read_to = max(self._read_to, begin[0])
        self._told = told

    def _ended_after(self, session: Session, moment: datetime, job_id: str) -> Sequence[Any]:
        kind = self._kind
        columns = [kind.id, kind.state, kind.error_code, kind.attempts]
        columns += [kind.queued_at, kind.started_at, kind.finished_at]
        columns += [getattr(kind, name) for name in _OF_SOME_KINDS if hasattr(kind, name)]
        later = or_(kind.finished_at > moment, and_(kind.finished_at == moment, kind.id > job_id))
        # The first half alone is what an index can be read by.
        ended = select(*columns).where(kind.finished_at >= moment, later)
        return session.execute(ended.order_by(kind.finished_at, kind.id).limit(PAGE)).all()


def _ended(row: Any) -> EndedJob:
    return EndedJob(
        id=row.id,
        state=str(row.state),
        code=row.error_code or "",
        attempts=row.attempts,
        queued_at=row.queued_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        timing=getattr(row, "timing", None) or {},
        model_version_id=getattr(row, "model_version_id", None),
    )
