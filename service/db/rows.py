"""Every table. Rows are private to the service: what leaves it is a payload or a domain object."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from sqlalchemy import BigInteger, Enum, ForeignKey, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.db.base import Base, new_id, utc_now

Id = Annotated[str, mapped_column(String(36))]
Key = Annotated[str, mapped_column(String(36), primary_key=True, default=new_id)]
Sha256 = Annotated[str, mapped_column(String(64))]
CreatedAt = Annotated[datetime, mapped_column(default=utc_now())]


class PredictionState(StrEnum):
    """Where a job stands; equal to its plain string."""

    QUEUED = "queued"
    PREPROCESSING = "preprocessing"
    CLASSIFYING = "classifying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


RUNNING = (PredictionState.PREPROCESSING, PredictionState.CLASSIFYING)
TERMINAL = (PredictionState.SUCCEEDED, PredictionState.FAILED, PredictionState.CANCELLED)


class UserRow(Base):
    """A person who logs in."""

    __tablename__ = "users"

    id: Mapped[Key]
    username: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    role: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[CreatedAt]
    disabled_at: Mapped[datetime | None]


class SessionRow(Base):
    """A login on the pages; only a hash of its token is kept."""

    __tablename__ = "sessions"

    id: Mapped[Key]
    token_hash: Mapped[Sha256] = mapped_column(unique=True)
    csrf_token: Mapped[str] = mapped_column(String(128))
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[CreatedAt]
    last_seen_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime] = mapped_column(index=True)

    user: Mapped[UserRow] = relationship(lazy="raise")


class ApiKeyRow(Base):
    """A program's credential; only a hash is kept, the prefix tells people which one it is."""

    __tablename__ = "api_keys"

    id: Mapped[Key]
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(String(32), index=True)
    key_hash: Mapped[Sha256] = mapped_column(unique=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]

    user: Mapped[UserRow] = relationship(lazy="raise")


class ScanRow(Base):
    """An uploaded file: its bytes lie in storage under ``storage_key``."""

    __tablename__ = "scans"
    __table_args__ = (Index(None, "created_at", "id"),)

    id: Mapped[Key]
    sha256: Mapped[Sha256] = mapped_column(index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    display_name: Mapped[str]
    storage_key: Mapped[str]
    subject_id: Mapped[str | None]
    age_years: Mapped[float | None]
    sex: Mapped[str | None] = mapped_column(String(16))
    site: Mapped[str | None]
    header: Mapped[dict[str, Any] | None]
    uploaded_by: Mapped[Id | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[CreatedAt]
    deleted_at: Mapped[datetime | None]


class ModelVersionRow(Base):
    """A checkpoint that the service knows; the active one answers."""

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


class PredictionRow(Base):
    """One model on one scan: the job and its outcome."""

    __tablename__ = "predictions"
    __table_args__ = (
        Index(None, "state", "queued_at", "id"),
        Index(None, "created_at", "id"),
    )

    id: Mapped[Key]
    scan_id: Mapped[Id] = mapped_column(ForeignKey("scans.id", ondelete="CASCADE"), index=True)
    model_version_id: Mapped[Id | None] = mapped_column(ForeignKey("model_versions.id"))
    state: Mapped[PredictionState] = mapped_column(
        Enum(
            PredictionState,
            name="state",
            native_enum=False,
            create_constraint=True,
            length=16,
            values_callable=lambda states: [state.value for state in states],
        ),
        default=PredictionState.QUEUED,
    )
    progress: Mapped[float] = mapped_column(default=0.0)
    attempts: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int] = mapped_column(default=3)
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_expires_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    error_details: Mapped[dict[str, Any] | None]
    error_reference: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[CreatedAt]
    queued_at: Mapped[CreatedAt]
    not_before: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    timing: Mapped[dict[str, Any] | None]
    requested_by: Mapped[Id | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))

    scan: Mapped[ScanRow] = relationship(lazy="raise")
    model_version: Mapped[ModelVersionRow | None] = relationship(lazy="raise")
    result: Mapped["ResultRow | None"] = relationship(lazy="raise", viewonly=True)


class ResultRow(Base):
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


class IdempotencyRow(Base):
    """The answer to a request that may be sent again under the same key."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("principal", "key"),)

    id: Mapped[Key]
    principal: Mapped[str]
    key: Mapped[str]
    request_sha256: Mapped[Sha256]
    prediction_id: Mapped[Id] = mapped_column(ForeignKey("predictions.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[CreatedAt]


class AuditEventRow(Base):
    """Who did what to what, and when; never changed and never with patient data."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "subject_kind", "subject_id"),)

    id: Mapped[Key]
    at: Mapped[CreatedAt] = mapped_column(index=True)
    actor: Mapped[str]
    action: Mapped[str] = mapped_column(String(64))
    subject_kind: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[str] = mapped_column(String(64))
    details: Mapped[dict[str, Any] | None]
