"""The one way in which a job changes: a conditional UPDATE that says whether it happened."""

from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from service.db.rows import PredictionRow, ScanRow
from service.errors import ServiceError


class PredictionNotFoundError(ServiceError):
    """No prediction has this id."""

    code: ClassVar[str] = "prediction_not_found"

    def __init__(self, prediction_id: str) -> None:
        self.prediction_id = prediction_id
        super().__init__("expected the id of a prediction, found none with this one")


def change(
    session: Session, prediction_id: str, condition: ColumnElement[bool], values: Mapping[str, Any]
) -> PredictionRow | None:
    """Update one prediction if the condition still holds in the database.

    Returns
    -------
    PredictionRow or None
        The row as it is now; None when somebody else was first.
    """
    statement = (
        update(PredictionRow)
        .where(PredictionRow.id == prediction_id, condition)
        .values(**values)
        .returning(PredictionRow)
    )
    # The WHERE clause is judged by the database, so the session learns the row from the answer.
    options = {"synchronize_session": False, "populate_existing": True}
    return session.scalars(statement, execution_options=options).one_or_none()


def scan_is_there() -> ColumnElement[bool]:
    """Return the condition that the prediction's scan is not deleted.

    On PostgreSQL it holds a share of the scan's row until the commit, so that it orders itself with a
    deletion, which takes that row first; SQLite has one writer at a time anyway.
    """
    return (
        select(ScanRow.id)
        .where(ScanRow.id == PredictionRow.scan_id, ScanRow.deleted_at.is_(None))
        .correlate(PredictionRow)
        .with_for_update(read=True)
        .exists()
    )


def reload(session: Session, prediction_id: str) -> PredictionRow:
    """Read a prediction from the database, whatever the session remembers.

    Raises
    ------
    PredictionNotFoundError
        If there is no such prediction.
    """
    row = session.get(PredictionRow, prediction_id, populate_existing=True)
    if row is None:
        raise PredictionNotFoundError(prediction_id)
    return row
