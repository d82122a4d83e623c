"""What is measured of each scan, what it is compared with, and what the comparison found."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.db.base import Base, CreatedAt, Id, Key
from service.db.job import JobRow, state_type
from service.db.organisations import OrganisationOwned
from service.db.rows.models import ModelVersionRow


class ScanMeasurementRow(OrganisationOwned, Base):
    """What was measured of a scan when it was classified; goes with the scan, and is in no public result.

    ``figures`` are those of :mod:`service.drift.variables`; ``embedding`` is of the model version alone.
    """

    __tablename__ = "scan_measurements"
    __table_args__ = (Index(None, "model_version_id", "created_at"),)

    prediction_id: Mapped[Id] = mapped_column(
        ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True
    )
    model_version_id: Mapped[Id] = mapped_column(ForeignKey("model_versions.id"))
    figures: Mapped[dict[str, Any]]
    embedding: Mapped[list[float] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[CreatedAt]


class ReferenceState(StrEnum):
    """Where a reference stands; equal to its plain string."""

    QUEUED = "queued"
    MEASURING = "measuring"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DriftReferenceRow(JobRow, Base):
    """The scans of a cohort as one model version sees them: the job and its samples; of the installation.

    ``sample`` is a :class:`service.drift.reference.Reference` as JSON: values without the people they are of.
    ``in_use``: at most one a version, the newest that succeeded.
    """

    __tablename__ = "drift_references"
    __table_args__ = (
        Index(None, "state", "queued_at", "id"),
        Index(None, "finished_at"),
        Index(None, "model_version_id", "created_at"),
        Index(
            "uq_drift_references_in_use",
            "model_version_id",
            unique=True,
            sqlite_where=text("in_use"),
            postgresql_where=text("in_use"),
        ),
    )
    RUNNING = (ReferenceState.MEASURING,)

    model_version_id: Mapped[Id] = mapped_column(ForeignKey("model_versions.id"))
    cohort_id: Mapped[Id | None] = mapped_column(ForeignKey("cohorts.id", ondelete="SET NULL"))
    cohort_name: Mapped[str]
    simulated: Mapped[bool] = mapped_column(default=False, server_default=false())
    selection: Mapped[str | None] = mapped_column(String(32))
    state: Mapped[ReferenceState] = mapped_column(state_type(ReferenceState), default=ReferenceState.QUEUED)
    in_use: Mapped[bool] = mapped_column(default=False, server_default=false())
    sample: Mapped[dict[str, Any] | None]
    requested_by: Mapped[str]

    model_version: Mapped[ModelVersionRow] = relationship(lazy="raise")


class DriftEvaluationRow(Base):
    """What the newest look at the scans of a model version found; one row a version.

    ``requested_at`` is later than ``evaluated_at`` while somebody waits for another look.
    """

    __tablename__ = "drift_evaluations"

    model_version_id: Mapped[Id] = mapped_column(ForeignKey("model_versions.id"), primary_key=True)
    requested_at: Mapped[datetime | None]
    evaluated_at: Mapped[datetime | None]
    found: Mapped[dict[str, Any] | None]


class DriftAlarmRow(Base):
    """A week of a site whose scans differ from a reference; ``site`` is empty for all sites together.

    ``findings`` are what was found when it was raised, by variable. Where later scans of the week differ in
    more it is raised again: ``raised_at`` is the last time, and whoever has seen it has not seen this.
    ``notified_at`` says when the webhook took it.
    """

    __tablename__ = "drift_alarms"
    __table_args__ = (
        UniqueConstraint("reference_id", "week", "site"),
        Index(None, "model_version_id", "week"),
        Index(None, "raised_at", "id"),
    )

    id: Mapped[Key]
    model_version_id: Mapped[Id] = mapped_column(ForeignKey("model_versions.id"))
    reference_id: Mapped[Id] = mapped_column(ForeignKey("drift_references.id"))
    week: Mapped[str] = mapped_column(String(8))
    site: Mapped[str]
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSON(none_as_null=True))
    raised_at: Mapped[CreatedAt]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None] = mapped_column(Text)
    notified_at: Mapped[datetime | None]
    notify_attempts: Mapped[int] = mapped_column(default=0)
    notify_after: Mapped[datetime | None]

    model_version: Mapped[ModelVersionRow] = relationship(lazy="raise")
