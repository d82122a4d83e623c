"""Runs of training, and their folds, which are jobs."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.db.base import Base, CreatedAt, Id, Key
from service.db.job import JobRow, state_type
from service.db.organisations import OrganisationOwned


class FoldState(StrEnum):
    """Where one fold of a training run stands; equal to its plain string."""

    QUEUED = "queued"
    TRAINING = "training"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TrainingRunRow(OrganisationOwned, Base):
    """A cross-validation whose folds are trained by workers; what it is to do stands in its folder.

    ``run_folder`` and ``cohort_folder`` are absolute, on a file system that every training worker shares.
    """

    __tablename__ = "training_runs"
    __table_args__ = (Index(None, "organisation_id", "created_at", "id"),)

    id: Mapped[Key]
    # One row a folder, however often it is asked for: its folds must never be queued twice.
    run_folder: Mapped[str] = mapped_column(Text, unique=True)
    cohort_folder: Mapped[str] = mapped_column(Text)
    device: Mapped[str] = mapped_column(String(16))
    requested_by: Mapped[Id | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[CreatedAt]
    # When the ensemble of its folds was written.
    finished_at: Mapped[datetime | None]

    folds: Mapped[list["TrainingFoldRow"]] = relationship(
        lazy="raise", back_populates="run", order_by="TrainingFoldRow.fold"
    )


class TrainingFoldRow(JobRow, OrganisationOwned, Base):
    """One fold of a run: the job, how far it is, and what it came to."""

    __tablename__ = "training_folds"
    __table_args__ = (
        UniqueConstraint("run_id", "fold"),
        Index(None, "state", "queued_at", "id"),
        Index(None, "finished_at"),
    )
    RUNNING = (FoldState.TRAINING,)
    UNSTARTED: ClassVar[dict[str, Any]] = {"progress": 0.0, "figures": None}

    run_id: Mapped[Id] = mapped_column(ForeignKey("training_runs.id", ondelete="CASCADE"))
    fold: Mapped[int]
    state: Mapped[FoldState] = mapped_column(state_type(FoldState), default=FoldState.QUEUED)
    # While it runs: a `FitProgress` as JSON. At the end: a `FoldOutcome`.
    figures: Mapped[dict[str, Any] | None]
    outcome: Mapped[dict[str, Any] | None]

    run: Mapped[TrainingRunRow] = relationship(lazy="raise", back_populates="folds")
