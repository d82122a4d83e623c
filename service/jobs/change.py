"""The one way in which a job changes: a conditional UPDATE that says whether it happened."""

from collections.abc import Mapping
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import Session

from service.db.job import JobRow

Job = TypeVar("Job", bound=JobRow)


def change(
    session: Session, kind: type[Job], job_id: str, condition: ColumnElement[bool], values: Mapping[str, Any]
) -> Job | None:
    """Update one job if the condition still holds in the database.

    Parameters
    ----------
    kind : type of JobRow
        The class of the job's row.

    Returns
    -------
    JobRow or None
        The row as it is now; None when there is none or somebody else was first.
    """
    statement = update(kind).where(kind.id == job_id, condition).values(**values).returning(kind)
    # The WHERE clause is judged by the database, so the session learns the row from the answer.
    options = {"synchronize_session": False, "populate_existing": True}
    return session.scalars(statement, execution_options=options).one_or_none()


def lock(session: Session, kind: type[JobRow], job_id: str) -> None:
    """Keep others from changing one job until the caller's transaction ends.

    An UPDATE that changes nothing: SQLite has no other lock. Whoever changes a run and its folds takes the
    run first, so that no two of them wait for each other.
    """
    statement = update(kind).where(kind.id == job_id).values(cancel_requested=kind.cancel_requested)
    session.execute(statement, execution_options={"synchronize_session": False})
