"""Registered checkpoints, and which of them answered when."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.db.base import Base, CreatedAt, Id, Key, Sha256


class ModelVersionRow(Base):
    """A checkpoint that the service knows; the one with an open deployment answers all organisations.

    ``added_by`` is the actor's name as the audit has it; null where nobody kept it.
    """

    __tablename__ = "model_versions"

    id: Mapped[Key]
    name: Mapped[str]
    version: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[Sha256] = mapped_column(unique=True)
    storage_key: Mapped[str]
    card: Mapped[dict[str, Any]]
    added_by: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class ModelDeploymentRow(Base):
    """A time in which one model version answered; the row that is still open says which one answers now.

    ``overridden`` holds the rules of the gate that failed and were overruled, and why; null: none.
    """

    __tablename__ = "model_deployments"
    __table_args__ = (
        # At most one open deployment: the database keeps the promise, not the code.
        Index(
            "uq_model_deployments_answering",
            "answering",
            unique=True,
            sqlite_where=text("answering"),
            postgresql_where=text("answering"),
        ),
        CheckConstraint("answering = (ended_at IS NULL)", name="open"),
    )

    id: Mapped[Key]
    # One after the other: the order in which they followed, and no two can follow the same one.
    number: Mapped[int] = mapped_column(unique=True)
    model_version_id: Mapped[Id] = mapped_column(ForeignKey("model_versions.id"))
    answering: Mapped[bool] = mapped_column(default=True, server_default=true())
    started_at: Mapped[CreatedAt]
    ended_at: Mapped[datetime | None]
    kind: Mapped[str] = mapped_column(String(16))
    actor: Mapped[str]
    reason: Mapped[str | None] = mapped_column(Text)
    overridden: Mapped[dict[str, Any] | None]

    model_version: Mapped[ModelVersionRow] = relationship(lazy="raise")
