"""Registered checkpoints."""

from typing import Any

from sqlalchemy import (
    Index,
    String,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base, CreatedAt, Key, Sha256


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
