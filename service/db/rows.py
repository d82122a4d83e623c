"""Every table. Rows are private to the service: what leaves it is a payload or a domain object."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    false,
    select,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

import service.db.login_rows  # noqa: F401  (the metadata holds every table, also those of its own file)
from service.db.base import Base, CreatedAt, Id, Key
from service.db.job import JobRow, state_type
from service.db.organisations import OrganisationOwned

Sha256 = Annotated[str, mapped_column(String(64))]
KEPT = "deleted_at IS NULL"
FILES_TO_REMOVE = "deleted_at IS NOT NULL AND files_removed_at IS NULL"


class PredictionState(StrEnum):
    """Where a prediction stands; equal to its plain string."""

    QUEUED = "queued"
    PREPROCESSING = "preprocessing"
    CLASSIFYING = "classifying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


RUNNING = (PredictionState.PREPROCESSING, PredictionState.CLASSIFYING)


class FoldState(StrEnum):
    """Where one fold of a training run stands; equal to its plain string."""

    QUEUED = "queued"
    TRAINING = "training"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class UserRow(OrganisationOwned, Base):
    """A person who logs in; the name is the installation's, because the log-in page asks for no other."""

    __tablename__ = "users"
    __table_args__ = (Index(None, "organisation_id", "created_at", "id"),)

    id: Mapped[Key]
    username: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    # When somebody else set the password; None once its owner has chosen one.
    first_password_at: Mapped[datetime | None]
    # Of an authenticator, as `service.storage.sealing` keeps it; it counts since `totp_since`.
    totp_secret: Mapped[str | None] = mapped_column(Text)
    totp_since: Mapped[datetime | None]
    # Of the last code that was used, so that none serves twice.
    totp_last_step: Mapped[int | None] = mapped_column(BigInteger)
    role: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[CreatedAt]
    disabled_at: Mapped[datetime | None]


class SessionRow(OrganisationOwned, Base):
    """A login on the pages; only a hash of its token is kept."""

    __tablename__ = "sessions"

    id: Mapped[Key]
    token_hash: Mapped[Sha256] = mapped_column(unique=True)
    csrf_token: Mapped[str] = mapped_column(String(128))
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[CreatedAt]
    last_seen_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    # Whether the identity provider vouched for it, and not a password of ours.
    through_provider: Mapped[bool] = mapped_column(default=False, server_default=false())
    # For its owner, who is to know it again.
    address: Mapped[str | None]
    browser: Mapped[str | None] = mapped_column(String(64))

    user: Mapped[UserRow] = relationship(lazy="raise")


class ApiKeyRow(OrganisationOwned, Base):
    """A program's credential; only a hash is kept, the prefix tells people which one it is."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "organisation_id", "created_at", "id"),)

    id: Mapped[Key]
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(String(32), index=True)
    key_hash: Mapped[Sha256] = mapped_column(unique=True)
    # With blanks between them, as OAuth writes them.
    scopes: Mapped[str]
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]

    user: Mapped[UserRow] = relationship(lazy="raise")


class ScanRow(OrganisationOwned, Base):
    """An uploaded file, known by its own digest; a copy without free text lies under ``storage_key``.

    The copy lies there until ``files_removed_at``. ``emptied_fields`` names what it lacks. Scans from before
    there were such copies have no ``stored_sha256``: their own bytes are stored.

    ``deleted_at`` marks a scan that nobody is shown any more (:mod:`service.retention`), ``deleted_because``
    says on whose wish: ``request`` or ``retention``.
    """

    __tablename__ = "scans"
    __table_args__ = (
        Index(None, "organisation_id", "created_at", "id"),
        Index(None, "organisation_id", "subject_id"),
        # What may be due for retention: the rows of removed scans stay, and grow many.
        Index(
            "ix_scans_kept_created_at",
            "created_at",
            sqlite_where=text(KEPT),
            postgresql_where=text(KEPT),
        ),
        # What is marked and not yet removed: few rows, whatever the table holds.
        Index(
            "ix_scans_files_to_remove",
            "id",
            sqlite_where=text(FILES_TO_REMOVE),
            postgresql_where=text(FILES_TO_REMOVE),
        ),
    )

    id: Mapped[Key]
    sha256: Mapped[Sha256] = mapped_column(index=True)
    stored_sha256: Mapped[Sha256 | None]
    emptied_fields: Mapped[list[str] | None]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    display_name: Mapped[str]
    storage_key: Mapped[str]
    subject_id: Mapped[str | None]
    age_years: Mapped[float | None]
    sex: Mapped[str | None] = mapped_column(String(16))
    site: Mapped[str | None]
    header: Mapped[dict[str, Any] | None]
    # Indexed for those who see their own uploads only, and may have few among many.
    uploaded_by: Mapped[Id | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[CreatedAt]
    deleted_at: Mapped[datetime | None]
    deleted_because: Mapped[str | None] = mapped_column(String(16))
    files_removed_at: Mapped[datetime | None]


class ModelVersionRow(Base):
    """A checkpoint that the service knows; the active one answers, and answers all organisations."""

    __tablename__ = "model_versions"
    __table_args__ = (
        # At most one active version: the database keeps the promise, not the code.
        Index(
            "uq_model_versions_active",
            "active",
            unique=True,
            sqlite_where=text("active"),
            postgresql_where=text("active"),
        ),
    )

    id: Mapped[Key]
    name: Mapped[str]
    version: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[Sha256] = mapped_column(unique=True)
    storage_key: Mapped[str]
    card: Mapped[dict[str, Any]]
    active: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[CreatedAt]


class PredictionRow(JobRow, OrganisationOwned, Base):
    """One model on one scan: the job and its outcome."""

    __tablename__ = "predictions"
    __table_args__ = (
        Index(None, "state", "queued_at", "id"),
        Index(None, "organisation_id", "created_at", "id"),
        # Some states are rare: without it a page of them reads all the others.
        Index(None, "organisation_id", "state", "created_at", "id"),
        Index(None, "finished_at"),
    )
    RUNNING = RUNNING
    UNSTARTED: ClassVar[dict[str, Any]] = {"progress": 0.0, "timing": None}

    scan_id: Mapped[Id] = mapped_column(ForeignKey("scans.id", ondelete="CASCADE"), index=True)
    model_version_id: Mapped[Id | None] = mapped_column(ForeignKey("model_versions.id"))
    state: Mapped[PredictionState] = mapped_column(
        state_type(PredictionState), default=PredictionState.QUEUED
    )
    timing: Mapped[dict[str, Any] | None]
    requested_by: Mapped[Id | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))

    scan: Mapped[ScanRow] = relationship(lazy="raise")
    model_version: Mapped[ModelVersionRow | None] = relationship(lazy="raise")
    result: Mapped["ResultRow | None"] = relationship(lazy="raise", viewonly=True)

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


# Every kind of job, in the order in which a sweep looks after them.
JOB_KINDS: tuple[type[JobRow], ...] = (PredictionRow, TrainingFoldRow)


class WorkerRow(Base):
    """A worker that says every few seconds that it is there; one row a queue that it serves."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    queue: Mapped[str] = mapped_column(String(32), primary_key=True)
    host: Mapped[str]
    started_at: Mapped[CreatedAt]
    seen_at: Mapped[CreatedAt]


class IdempotencyRow(OrganisationOwned, Base):
    """The answer to a request that may be sent again under the same key."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("principal", "key"),)

    id: Mapped[Key]
    principal: Mapped[str]
    key: Mapped[str]
    request_sha256: Mapped[Sha256]
    prediction_id: Mapped[Id] = mapped_column(ForeignKey("predictions.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[CreatedAt]


class AuditEventRow(OrganisationOwned, Base):
    """Who did what to what, when and from where; never with patient data, and never changed.

    Each event names the hash of the one before it (:mod:`service.audit.chain`). Triggers of the migrations
    refuse every UPDATE and DELETE: a migration that copies this table, as SQLite's do, makes them again.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index(None, "subject_kind", "subject_id"),
        Index(None, "organisation_id", "sequence"),
        Index(None, "organisation_id", "subject_id", "sequence"),
    )

    id: Mapped[Key]
    # None: about the whole installation, which no organisation's administrator is shown.
    organisation_id: Mapped[Id | None] = mapped_column(  # type: ignore[assignment]  # only here
        ForeignKey("organisations.id")
    )
    # From 1, without a gap.
    sequence: Mapped[int] = mapped_column(BigInteger, unique=True)
    at: Mapped[CreatedAt] = mapped_column(index=True)
    actor: Mapped[str]
    address: Mapped[str]
    action: Mapped[str] = mapped_column(String(64))
    subject_kind: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[str] = mapped_column(String(64))
    details: Mapped[dict[str, Any] | None]
    previous_hash: Mapped[Sha256]
    hash: Mapped[Sha256]


class AuditHeadRow(Base):
    """The last audit event: one row, which everybody who appends locks first."""

    __tablename__ = "audit_heads"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    sequence: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[Sha256]
