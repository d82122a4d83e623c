"""The audit, whose events hang together as a chain."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base, CreatedAt, Id, Key, Sha256
from service.db.organisations import OrganisationOwned


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
        Index(None, "organisation_id", "action", "sequence"),
        Index(None, "organisation_id", "actor", "sequence"),
        # Where in the chain the organisation's events of a day begin.
        Index(None, "organisation_id", "at"),
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
