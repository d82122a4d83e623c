"""Predictions, which are jobs, their results, and the requests that may be sent again for them."""

from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    select,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.db.base import Base, CreatedAt, Id, Key, Sha256
from service.db.job import JobRow, state_type
from service.db.organisations import OrganisationOwned
from service.db.rows.models import ModelVersionRow
from service.db.rows.scans import ScanRow


class PredictionState(StrEnum):
    """Where a prediction stands; equal to its plain string."""

    QUEUED = "queued"
    PREPROCESSING = "preprocessing"
    NORMALISING = "normalising"
    CLASSIFYING = "classifying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


RUNNING = (PredictionState.PREPROCESSING, PredictionState.NORMALISING, PredictionState.CLASSIFYING)


class Lane(StrEnum):
    """Which queue a prediction waits in: a scan in the scanner's space has minutes of work before it."""

    INFERENCE = "inference"
    NORMALISING = "normalising"


class PredictionRow(JobRow, OrganisationOwned, Base):
    """One model on one scan: the job and its outcome.

    ``stage`` names what is done to a scan that is brought into template space.
    """

    __tablename__ = "predictions"
    __table_args__ = (
        Index(None, "state", "queued_at", "id"),
        Index(None, "organisation_id", "created_at", "id"),
        # Some states are rare: without it a page of them reads all the others.
        Index(None, "organisation_id", "state", "created_at", "id"),
        Index(None, "finished_at"),
    )
    RUNNING = RUNNING
    UNSTARTED: ClassVar[dict[str, Any]] = {"progress": 0.0, "timing": None, "stage": None}

    scan_id: Mapped[Id] = mapped_column(ForeignKey("scans.id", ondelete="CASCADE"), index=True)
    model_version_id: Mapped[Id | None] = mapped_column(ForeignKey("model_versions.id"))
    state: Mapped[PredictionState] = mapped_column(
        state_type(PredictionState), default=PredictionState.QUEUED
    )
    lane: Mapped[str] = mapped_column(String(16), default=Lane.INFERENCE, server_default=Lane.INFERENCE)
    stage: Mapped[str | None] = mapped_column(String(16))
    timing: Mapped[dict[str, Any] | None]
    requested_by: Mapped[Id | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))

    scan: Mapped[ScanRow] = relationship(lazy="raise")
    model_version: Mapped[ModelVersionRow | None] = relationship(lazy="raise")
    result: Mapped["ResultRow | None"] = relationship(lazy="raise", viewonly=True)

    @classmethod
    def in_lane(cls, lane: str | None) -> ColumnElement[bool]:
        """Return the condition that a prediction waits in this queue, or in any without one."""
        return true() if lane is None else cls.lane == lane

    @classmethod
    def still_wanted(cls) -> ColumnElement[bool]:
        """Return the condition that the prediction's scan is not deleted.

        On PostgreSQL it holds a share of the scan's row until the commit, so that it orders itself with a
        deletion, which takes that row first; SQLite has one writer at a time anyway.
        """
        return (
            select(ScanRow.id)
            .where(ScanRow.id == cls.scan_id, ScanRow.deleted_at.is_(None))
            .correlate(cls)
            .with_for_update(read=True)
            .exists()
        )


class ResultRow(OrganisationOwned, Base):
    """What the model said; the primary key allows one a prediction."""

    __tablename__ = "results"
    __table_args__ = (Index(None, "organisation_id", "adhd_probability", "prediction_id"),)

    prediction_id: Mapped[Id] = mapped_column(
        ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True
    )
    model_version_id: Mapped[Id] = mapped_column(ForeignKey("model_versions.id"))
    adhd_probability: Mapped[float]
    interval_low: Mapped[float]
    interval_high: Mapped[float]
    decision: Mapped[str] = mapped_column(String(16))
    result: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]


class IdempotencyRow(OrganisationOwned, Base):
    """The answer to a request that may be sent again under the same key: a prediction or a grid of runs."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        UniqueConstraint("principal", "key"),
        CheckConstraint("(prediction_id IS NULL) <> (grid_id IS NULL)", name="answer"),
    )

    id: Mapped[Key]
    principal: Mapped[str]
    key: Mapped[str]
    request_sha256: Mapped[Sha256]
    prediction_id: Mapped[Id | None] = mapped_column(
        ForeignKey("predictions.id", ondelete="CASCADE"), index=True
    )
    # Of training runs, which are never deleted.
    grid_id: Mapped[Id | None]
    created_at: Mapped[CreatedAt]
