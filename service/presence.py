"""Which workers are there: each says so in the database every few seconds, on whatever machine it runs."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.orm import Session

from service.db.base import utc_now
from service.db.rows import WorkerRow

# How often a worker says that it is there, and how long it is believed, in seconds.
SAY_S = 10.0
BELIEVED_S = 35.0
# Whoever fell silent within this time without a word of farewell counts as lost, in seconds.
MISSED_S = 3600.0


@dataclass(frozen=True)
class Attendance:
    """How many workers serve a queue, and how many have fallen silent within the last hour."""

    present: int
    lost: int


def say_present(session: Session, *, worker: str, queues: Sequence[str], host: str) -> None:
    """Note that a worker is there, and forget the ones that have been silent for longer than anybody asks."""
    seen = update(WorkerRow).where(WorkerRow.name == worker).values(seen_at=utc_now())
    if session.execute(seen.returning(WorkerRow.queue)).first() is None:
        session.add_all(WorkerRow(name=worker, queue=queue, host=host) for queue in queues)
    session.execute(delete(WorkerRow).where(WorkerRow.seen_at < utc_now(-MISSED_S)))


def say_farewell(session: Session, *, worker: str) -> None:
    """Forget a worker that stops in good order."""
    session.execute(delete(WorkerRow).where(WorkerRow.name == worker))


def attendance(session: Session) -> dict[str, Attendance]:
    """Count the workers by queue; a queue that nobody served within the last hour is not there."""
    present = func.sum(case((WorkerRow.seen_at >= utc_now(-BELIEVED_S), 1), else_=0))
    counted = (
        select(WorkerRow.queue, present, func.count())
        .where(WorkerRow.seen_at >= utc_now(-MISSED_S))
        .group_by(WorkerRow.queue)
    )
    return {
        queue: Attendance(present=int(here), lost=int(known) - int(here))
        for queue, here, known in session.execute(counted)
    }


def workers_of(session: Session, queue: str, *, host: str) -> list[str]:
    """Name the workers of a machine, or of a container, that serve a queue."""
    here = select(WorkerRow.name).where(
        WorkerRow.queue == queue, WorkerRow.host == host, WorkerRow.seen_at >= utc_now(-BELIEVED_S)
    )
    return list(session.scalars(here.order_by(WorkerRow.name)))


def worker_name(queue: str) -> str:
    """Return a name that no other worker has: in two containers, process and host may be called the same."""
    return f"{queue}-{os.getpid()}-{token_hex(4)}@{socket.gethostname()}"


def process_of(worker: str) -> int:
    """Return the number of a worker's process on its machine, which its name holds."""
    return int(worker.split("-")[1])


def is_present(session: Session, *, host: str) -> bool:
    """Tell whether some worker of a machine, or of a container, is there."""
    here = select(WorkerRow.name).where(WorkerRow.host == host, WorkerRow.seen_at >= utc_now(-BELIEVED_S))
    return session.scalars(here.limit(1)).first() is not None
