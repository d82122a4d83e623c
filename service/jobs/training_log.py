"""A run's log: what happened to it and to its folds, bounded, with figures and no words."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.db.job import JobRow
from service.db.rows import TrainingLogRow, TrainingRunRow
from service.jobs.change import lock

# The newest lines that a run keeps, and how many more it may have between two looks.
KEPT_LINES = 2000
_SLACK = 50


def note(
    session: Session,
    run: TrainingRunRow,
    event: str,
    *,
    fold: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add a line to a run's log, and forget the oldest ones beyond what is kept.

    It locks the run's row first: on PostgreSQL a line of a slower transaction would appear before those that
    a reader has seen, who goes on after the last of them. Whoever has changed a fold has locked the run
    before that (:func:`service.jobs.change.lock`).

    Parameters
    ----------
    event : str
        One of those that `service.web.training.log_wording` has words for.
    fold : int, optional
        From 0.
    details : mapping, optional
        JSON values that the words name; never patient data.
    """
    lock(session, TrainingRunRow, run.id)
    row = TrainingLogRow(
        organisation_id=run.organisation_id,
        run_id=run.id,
        fold=fold,
        event=event,
        details=dict(details) if details else None,
    )
    session.add(row)
    session.flush()
    if row.id % _SLACK == 0:
        newest = select(TrainingLogRow.id).where(TrainingLogRow.run_id == run.id)
        newest = newest.order_by(TrainingLogRow.id.desc())
        oldest_kept = session.scalar(newest.offset(KEPT_LINES - 1).limit(1))
        if oldest_kept is not None:
            session.execute(
                delete(TrainingLogRow).where(
                    TrainingLogRow.run_id == run.id, TrainingLogRow.id < oldest_kept
                ),
                execution_options={"synchronize_session": False},
            )


def note_failure(session: Session, job: JobRow) -> None:
    """Note in a run's log why it has failed, as its row says; jobs of other kinds have no log."""
    if isinstance(job, TrainingRunRow):
        note(session, job, "failed", details={"code": job.error_code, "message": job.error_message})


def lines_of(session: Session, run_id: str, *, after: int = 0, limit: int) -> Sequence[TrainingLogRow]:
    """Read the lines after one, oldest first: the first ``limit`` of them."""
    statement = select(TrainingLogRow).where(TrainingLogRow.run_id == run_id, TrainingLogRow.id > after)
    return session.scalars(statement.order_by(TrainingLogRow.id).limit(limit)).all()


def newest_lines(session: Session, run_id: str, *, limit: int) -> Sequence[TrainingLogRow]:
    """Read the end of a log, oldest first."""
    statement = select(TrainingLogRow).where(TrainingLogRow.run_id == run_id)
    newest = session.scalars(statement.order_by(TrainingLogRow.id.desc()).limit(limit)).all()
    return newest[::-1]
