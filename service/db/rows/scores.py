"""What another model says of stored scans, kept apart from predictions: in shadow, or over earlier scans."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    and_,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.db.base import Base, CreatedAt, Id, Key
from service.db.job import JobRow, state_type
from service.db.organisations import OrganisationOwned
from service.db.rows.models import ModelVersionRow
from service.db.rows.predictions import PredictionRow
from service.db.rows.scans import ScanRow


class ScoreState(StrEnum):
    """Where a score stands; equal to its plain string."""

    QUEUED = "queued"
    SCORING = "scoring"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


SCORING = (ScoreState.SCORING,)


class Purpose(StrEnum):
    """Why a scan is scored; equal to its plain string."""

    SHADOW = "shadow"
    RESCORE = "rescore"


class ShadowRow(Base):
    """A time in which a version is in shadow: what is answered meanwhile it scores too, and nobody is shown.

    ``ended_because`` is ``request`` or ``promotion``.
    """

    __tablename__ = "shadow_deployments"
    __table_args__ = (
        # At most one version in shadow: the database keeps the promise, not the code.
        Index(
            "uq_shadow_deployments_in_shadow",
            "in_shadow",
            unique=True,
            sqlite_where=text("in_shadow"),
            postgresql_where=text("in_shadow"),
        ),
        Index(None, "model_version_id", "started_at", "id"),
        CheckConstraint("in_shadow = (ended_at IS NULL)", name="open"),
    )

    id: Mapped[Key]
    model_version_id: Mapped[Id] = mapped_column(ForeignKey("model_versions.id"))
    in_shadow: Mapped[bool] = mapped_column(default=True, server_default=true())
    started_at: Mapped[CreatedAt]
    ended_at: Mapped[datetime | None]
    actor: Mapped[str]
    reason: Mapped[str] = mapped_column(Text)
    ended_by: Mapped[str | None]
    ended_because: Mapped[str | None] = mapped_column(String(16))

    model_version: Mapped[ModelVersionRow] = relationship(lazy="raise")


class RescoreState(StrEnum):
    """Where a batch stands; equal to its plain string."""

    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class RescoreRow(Base):
    """A batch: one version over earlier predictions of all organisations, the newest first.

    Its scores are queued a few at a time. ``queued_from`` and ``queued_from_id`` name the prediction that was
    queued last, and ``n_queued`` counts them.
    """

    __tablename__ = "rescores"
    __table_args__ = (
        # One running batch a version.
        Index(
            "uq_rescores_running",
            "model_version_id",
            unique=True,
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
        Index(None, "created_at", "id"),
        Index(None, "model_version_id", "created_at", "id"),
    )

    id: Mapped[Key]
    model_version_id: Mapped[Id] = mapped_column(ForeignKey("model_versions.id"))
    state: Mapped[RescoreState] = mapped_column(state_type(RescoreState), default=RescoreState.RUNNING)
    since: Mapped[datetime | None]
    # Always there: what is answered while the batch runs is not of it.
    until: Mapped[datetime]
    n_asked: Mapped[int]
    n_queued: Mapped[int] = mapped_column(default=0)
    queued_from: Mapped[datetime | None]
    queued_from_id: Mapped[Id | None]
    actor: Mapped[str]
    reason: Mapped[str] = mapped_column(Text)
    created_at: Mapped[CreatedAt]
    ended_at: Mapped[datetime | None]

    model_version: Mapped[ModelVersionRow] = relationship(lazy="raise")


class ScoreRow(JobRow, OrganisationOwned, Base):
    """One version on one stored scan, beside the prediction that was answered: the job and its outcome."""

    __tablename__ = "scores"
    __table_args__ = (
        UniqueConstraint("prediction_id", "shadow_id"),
        UniqueConstraint("prediction_id", "rescore_id"),
        Index(None, "state", "queued_at", "id"),
        Index(None, "finished_at"),
        Index(None, "shadow_id", "state", "finished_at", "id"),
        Index(None, "rescore_id", "state", "finished_at", "id"),
        CheckConstraint("(shadow_id IS NULL) <> (rescore_id IS NULL)", name="cause"),
    )
    RUNNING = SCORING

    prediction_id: Mapped[Id] = mapped_column(ForeignKey("predictions.id", ondelete="CASCADE"))
    scan_id: Mapped[Id] = mapped_column(ForeignKey("scans.id", ondelete="CASCADE"), index=True)
    model_version_id: Mapped[Id] = mapped_column(ForeignKey("model_versions.id"))
    purpose: Mapped[str] = mapped_column(String(16))
    shadow_id: Mapped[Id | None] = mapped_column(ForeignKey("shadow_deployments.id"))
    rescore_id: Mapped[Id | None] = mapped_column(ForeignKey("rescores.id"))
    state: Mapped[ScoreState] = mapped_column(state_type(ScoreState), default=ScoreState.QUEUED)
    adhd_probability: Mapped[float | None]
    interval_low: Mapped[float | None]
    interval_high: Mapped[float | None]
    decision: Mapped[str | None] = mapped_column(String(16))
    # The object of `predict --json`.
    result: Mapped[dict[str, Any] | None]

    scan: Mapped[ScanRow] = relationship(lazy="raise")
    model_version: Mapped[ModelVersionRow] = relationship(lazy="raise")
    prediction: Mapped[PredictionRow] = relationship(lazy="raise")

    @classmethod
    def still_wanted(cls) -> ColumnElement[bool]:
        """Return the condition that the scan is not deleted, and shadow mode or the batch goes on.

        Of the scan's row a share is held as :meth:`PredictionRow.still_wanted` says.
        """
        kept = (
            select(ScanRow.id)
            .where(ScanRow.id == cls.scan_id, ScanRow.deleted_at.is_(None))
            .correlate(cls)
            .with_for_update(read=True)
            .exists()
        )
        return and_(kept, cls.cause_goes_on())

    @classmethod
    def cause_goes_on(cls) -> ColumnElement[bool]:
        """Return the condition that what the score was queued for has not ended."""
        shadow = select(ShadowRow.id).where(ShadowRow.id == cls.shadow_id, ShadowRow.in_shadow)
        batch = select(RescoreRow.id).where(
            RescoreRow.id == cls.rescore_id, RescoreRow.state == RescoreState.RUNNING
        )
        return or_(shadow.correlate(cls).exists(), batch.correlate(cls).exists())
