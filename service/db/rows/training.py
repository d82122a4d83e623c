"""Runs of training, their folds and their logs; runs and folds are jobs."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    func,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.db.base import Base, CreatedAt, Id
from service.db.job import JobRow, state_type
from service.db.organisations import OrganisationOwned
from service.db.rows.cohorts import CohortRow


class FoldState(StrEnum):
    """Where one fold of a training run stands; equal to its plain string."""

    QUEUED = "queued"
    TRAINING = "training"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunState(StrEnum):
    """Where a training run stands; equal to its plain string."""

    QUEUED = "queued"
    PLANNING = "planning"
    TRAINING = "training"
    FINISHING = "finishing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TrainingRunRow(JobRow, OrganisationOwned, Base):
    """A cross-validation whose folds are trained by workers: a job before the first and after the last.

    Planning and finishing are short and done under a lease. Between them the run is ``training``: its folds
    are jobs of their own, and nobody holds it. ``run_folder`` and ``cohort_folder`` are absolute, on a file
    system that every training worker shares.

    A run that ``restnet train`` began has no ``request``: the command has planned it and will finish it, so
    it only ever is ``training`` or over.
    """

    __tablename__ = "training_runs"
    __table_args__ = (
        Index(None, "organisation_id", "created_at", "id"),
        Index(None, "state", "queued_at", "id"),
        Index(None, "finished_at"),
        Index(None, "grid_id"),
    )
    RUNNING = (RunState.PLANNING, RunState.FINISHING)

    state: Mapped[RunState] = mapped_column(state_type(RunState), default=RunState.QUEUED)
    # One row a folder, however often it is asked for: its folds must never be queued twice.
    run_folder: Mapped[str] = mapped_column(Text, unique=True)
    cohort_folder: Mapped[str] = mapped_column(Text)
    device: Mapped[str] = mapped_column(String(16))
    cohort_id: Mapped[Id | None] = mapped_column(ForeignKey("cohorts.id", ondelete="SET NULL"))
    # Shared by the runs of one request.
    grid_id: Mapped[Id | None]
    # What was asked for, as `TrainingRequest.of_each` writes it.
    request: Mapped[dict[str, Any] | None]
    # What planning has found: from here on the run is on its way to its end, whatever is queued again.
    plan: Mapped[dict[str, Any] | None]
    model_version_id: Mapped[Id | None] = mapped_column(ForeignKey("model_versions.id", ondelete="SET NULL"))
    requested_by: Mapped[Id | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))

    folds: Mapped[list["TrainingFoldRow"]] = relationship(
        lazy="raise", back_populates="run", order_by="TrainingFoldRow.fold"
    )
    cohort: Mapped[CohortRow | None] = relationship(lazy="raise")

    @classmethod
    def started_when_claimed(cls) -> ColumnElement[datetime]:
        """Return when it was taken up first: it is claimed a second time to be put together."""
        return func.coalesce(cls.started_at, super().started_when_claimed())


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
    # Its newest epochs, each an `EpochRecord` as JSON: a page draws them without the run's folder.
    epochs: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    outcome: Mapped[dict[str, Any] | None]

    run: Mapped[TrainingRunRow] = relationship(lazy="raise", back_populates="folds")

    @classmethod
    def still_wanted(cls) -> ColumnElement[bool]:
        """Return the condition that its run is in training: under one that is over no fold begins."""
        return (
            select(TrainingRunRow.id)
            .where(TrainingRunRow.id == cls.run_id, TrainingRunRow.state == RunState.TRAINING)
            .correlate(cls)
            .exists()
        )


class TrainingLogRow(OrganisationOwned, Base):
    """A line of a run's log: what happened and its figures; the words are found when it is read."""

    __tablename__ = "training_log"
    __table_args__ = (Index(None, "run_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    run_id: Mapped[Id] = mapped_column(ForeignKey("training_runs.id", ondelete="CASCADE"))
    # None for what is about the run as a whole.
    fold: Mapped[int | None]
    at: Mapped[CreatedAt]
    event: Mapped[str] = mapped_column(String(32))
    details: Mapped[dict[str, Any] | None]
