"""Explanations of predictions, which are jobs of their own: they begin when the answer is there."""

from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.db.base import Base, Id
from service.db.job import JobRow, state_type
from service.db.organisations import OrganisationOwned
from service.db.rows.predictions import PredictionRow
from service.db.rows.scans import ScanRow


class ExplanationState(StrEnum):
    """Where an explanation stands; equal to its plain string."""

    QUEUED = "queued"
    EXPLAINING = "explaining"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


EXPLAINING = (ExplanationState.EXPLAINING,)


class ExplanationRow(JobRow, OrganisationOwned, Base):
    """What of a scan drove a prediction, and the pictures to judge the scan by: the job and its facts.

    The map and the pictures themselves lie in storage (:mod:`service.explanations`); ``facts`` say what
    stands in them.
    """

    __tablename__ = "explanations"
    __table_args__ = (
        Index(None, "state", "queued_at", "id"),
        Index(None, "finished_at"),
    )
    RUNNING = EXPLAINING

    prediction_id: Mapped[Id] = mapped_column(ForeignKey("predictions.id", ondelete="CASCADE"), unique=True)
    state: Mapped[ExplanationState] = mapped_column(
        state_type(ExplanationState), default=ExplanationState.QUEUED
    )
    facts: Mapped[dict[str, Any] | None]

    prediction: Mapped[PredictionRow] = relationship(lazy="raise")

    @classmethod
    def still_wanted(cls) -> ColumnElement[bool]:
        """Return the condition that the scan is not deleted; see :meth:`PredictionRow.still_wanted`."""
        return (
            select(ScanRow.id)
            .join(PredictionRow, PredictionRow.scan_id == ScanRow.id)
            .where(PredictionRow.id == cls.prediction_id, ScanRow.deleted_at.is_(None))
            .correlate(cls)
            .with_for_update(read=True, of=ScanRow)
            .exists()
        )
